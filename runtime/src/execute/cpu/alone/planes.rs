//! Pictures laid out for convolutions: the rows of a channel one after the other, with a gap of zeros between them that is as wide as
//! windows reach beyond the picture, so that one tap reads any number of neighbouring places as one run. Windows that move by several
//! pixels read planes of every other pixel. Zeros between the pixels are never stored: places of the result that meet the same taps are
//! a phase, which has no others.

use segc_compiler::kernel::Slide;

/// Elements of pictures that are laid out at a time, unless one has more.
pub(super) const ROUND: usize = 1 << 20;

/// One axis of a convolution.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Pixels.
    size: usize,
    /// Places of the result.
    pub made: usize,
    /// So many phases there are, and so far apart are the places of one.
    pub every: usize,
    /// Pixels by which the window moves from place to place of a phase; as many planes hold the pixels.
    pub step: usize,
    /// The taps of each phase.
    pub phases: Vec<Vec<Reach>>,
    /// Zeros in front of the first pixel that a window reads.
    lead: usize,
    /// Elements of a row with its gap; rows of a picture with theirs.
    pub stride: usize,
}

/// What a tap reads for place `q` of a phase: element `q + by` of a plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub tap: usize,
    pub plane: usize,
    pub by: isize,
}

impl Axis {
    /// Rows (0) or columns (1) of a picture of `size` pixels under a window of `taps`, at `made` places.
    pub fn new(slide: &Slide, axis: usize, size: usize, taps: usize, made: usize) -> Axis {
        let [stride, dilation, apart] = [slide.stride, slide.dilation, slide.input_dilation].map(|pair| pair[axis]);
        let shared = common(stride, apart);
        let (every, step) = (apart / shared, stride / shared);
        let reach = |phase: usize, tap: usize| {
            let at = (stride * phase + dilation * tap) as isize - slide.pad[2 * axis];
            let (apart, step) = (apart as isize, step as isize);
            let from = (at.rem_euclid(apart) == 0).then(|| at.div_euclid(apart))?;
            Some(Reach { tap, plane: from.rem_euclid(step) as usize, by: from.div_euclid(step) })
        };
        let phases: Vec<Vec<Reach>> = (0..every).map(|phase| (0..taps).filter_map(|tap| reach(phase, tap)).collect()).collect();
        let reaches = || phases.iter().flatten().map(|reach| reach.by);
        let (low, high) = (reaches().min().unwrap_or(0), reaches().max().unwrap_or(0));
        let (length, places) = (size.div_ceil(step), made.div_ceil(every));
        let lead = low.min(0).unsigned_abs();
        let beyond = (places as isize + high - length as isize).max(0) as usize;
        let stride = (length + lead.max(beyond)).max(places);
        Axis { size, made, every, step, phases, lead, stride }
    }

    /// Places of each phase at most.
    pub fn places(&self) -> usize {
        self.made.div_ceil(self.every)
    }

    /// Places of one phase.
    pub fn places_of(&self, phase: usize) -> usize {
        self.made.saturating_sub(phase).div_ceil(self.every)
    }
}

fn common(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common(b, a % b) }
}

/// Where the pixels of some samples of a channel lie.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Rows and columns.
    pub axes: [Axis; 2],
    /// Zeros in front of the first row.
    front: usize,
    /// Elements of a plane with all its samples.
    pub plane: usize,
}

impl Layout {
    pub fn new(axes: [Axis; 2], samples: usize) -> Layout {
        let front = axes[0].lead * axes[1].stride + axes[1].lead;
        let plane = front + samples * axes[0].stride * axes[1].stride;
        Layout { axes, front, plane }
    }

    /// Elements from sample to sample.
    pub fn sample(&self) -> usize {
        self.axes[0].stride * self.axes[1].stride
    }

    /// Elements of a channel.
    pub fn channel(&self) -> usize {
        self.axes[0].step * self.axes[1].step * self.plane
    }

    /// From the beginning of a channel to what two taps read at the first place.
    pub fn read(&self, down: Reach, right: Reach) -> usize {
        let plane = (down.plane * self.axes[1].step + right.plane) * self.plane + self.front;
        plane.wrapping_add_signed(down.by * self.axes[1].stride as isize + right.by)
    }

    /// Lays out one channel; `pictures` are those of its samples.
    pub fn lay<'a>(&self, pictures: impl Iterator<Item = &'a [f32]> + Clone, to: &mut [f32]) {
        let [rows, columns] = &self.axes;
        to.fill(0.0);
        for (number, plane) in to.chunks_mut(self.plane).enumerate() {
            let (down, right) = (number / columns.step, number % columns.step);
            for (picture, to) in pictures.clone().zip(plane[self.front..].chunks_mut(self.sample())) {
                let lines = picture.chunks(columns.size).skip(down).step_by(rows.step);
                for (line, to) in lines.zip(to.chunks_mut(columns.stride)) {
                    match columns.step {
                        1 => to[..line.len()].copy_from_slice(line),
                        step => {
                            for (to, x) in to.iter_mut().zip(line.iter().skip(right).step_by(step)) {
                                *to = *x;
                            }
                        }
                    }
                }
            }
        }
    }
}
