//! The training part of a data set as an endless stream of batches.
//!
//! What comes is a function of the data, the seed and how many samples were taken before, so that a run that continues sees what it would
//! have seen. Every sample comes once per epoch, in an order drawn anew for each; batches run over the end of an epoch. Random steps
//! are drawn for each sample taken. Threads in the background work ahead, up to a bound.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use segc_lang::spec::{Data, Part};

use super::{DataSet, Sample, Skipped};
use crate::outcome::RunError;
use crate::rng::{self, Place, path_hash};

/// So many batches are made ahead.
pub const AHEAD: usize = 3;
/// Most threads that work ahead.
const THREADS: usize = 4;

/// Samples side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The fields by name: one sample after the other, each as in [`Sample::fields`]; `image` is `[batch, 3, height, width]`.
    pub fields: BTreeMap<String, Vec<f32>>,
    /// The samples' stems.
    pub stems: Vec<String>,
}

/// The training part of a data set, batch by batch. Dropping it ends its threads.
pub struct Stream {
    name: String,
    batch: usize,
    size: usize,
    taken: u64,
    skipped: Vec<Skipped>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and the one who reads have in common.
struct Shared {
    set: Arc<dyn DataSet>,
    /// Keys of the orders and of the random steps.
    order: u64,
    change: u64,
    state: Mutex<State>,
    /// Rung when a sample is ready, when one is taken, and at the end.
    bell: Condvar,
}

struct State {
    /// The number of the sample that the next idle thread makes.
    next: u64,
    /// Threads make samples below this number.
    until: u64,
    ready: BTreeMap<u64, Made>,
    over: bool,
}

/// A sample, or why there is none. The outer error is a thread's end.
type Made = Result<Result<Sample, Skipped>, String>;

impl Stream {
    /// The stream of a data item after `taken` samples were taken from it.
    ///
    /// # Errors
    /// [`RunError::Data`] if the training part is empty, [`RunError::Environment`] if no thread can be started.
    pub fn open(data: &Data, set: Arc<dyn DataSet>, batch: usize, seed: u64, taken: u64) -> Result<Stream, RunError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        Stream::on_threads(data, set, batch, (seed, taken), threads)
    }

    fn on_threads(data: &Data, set: Arc<dyn DataSet>, batch: usize, (seed, taken): (u64, u64), threads: usize) -> Result<Stream, RunError> {
        let size = set.len(Part::Train);
        if size == 0 {
            return Err(RunError::Data(format!("data `{}` has no samples for training", data.name)));
        }
        let [order, change] = ["order", "change"].map(|what| path_hash(seed, &format!("{}.{what}", data.name)));
        let state = State { next: taken, until: taken + (AHEAD * batch) as u64, ready: BTreeMap::new(), over: false };
        let shared = Arc::new(Shared { set, order, change, state: Mutex::new(state), bell: Condvar::new() });
        let mut stream =
            Stream { name: data.name.clone(), batch, size, taken, skipped: Vec::new(), shared: shared.clone(), threads: Vec::new() };
        for _ in 0..threads {
            let shared = shared.clone();
            let started = std::thread::Builder::new().name(format!("data {}", data.name)).spawn(move || shared.work());
            stream.threads.push(started.map_err(|error| RunError::Environment(format!("no thread for data: {error}")))?);
        }
        Ok(stream)
    }

    /// The next batch. Samples that cannot be read are passed over; they count as taken.
    ///
    /// # Errors
    /// [`RunError::Data`] if no sample of the set can be read.
    pub fn next_batch(&mut self) -> Result<Batch, RunError> {
        let mut batch = Batch { fields: BTreeMap::new(), stems: Vec::with_capacity(self.batch) };
        let mut in_vain = 0;
        while batch.stems.len() < self.batch {
            match self.shared.take(self.taken, AHEAD * self.batch).map_err(RunError::Environment)? {
                Ok(sample) => batch.push(sample, self.batch),
                Err(skipped) => {
                    in_vain += 1;
                    if in_vain >= self.size {
                        let (name, file, why) = (&self.name, skipped.file.display(), &skipped.why);
                        return Err(RunError::Data(format!("data `{name}`: no sample for training can be used; one: {file}: {why}")));
                    }
                    self.note(skipped);
                }
            }
            self.taken += 1;
        }
        Ok(batch)
    }

    /// How many samples were taken in all, those before it was opened included.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The samples that could not be read so far, each once, in the order in which they were met.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn note(&mut self, skipped: Skipped) {
        if !self.skipped.iter().any(|known| known.file == skipped.file) {
            self.skipped.push(skipped);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.bell.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            thread.join().ok();
        }
    }
}

impl Batch {
    fn push(&mut self, sample: Sample, of: usize) {
        self.stems.push(sample.stem);
        for (name, values) in sample.fields {
            let field = self.fields.entry(name).or_insert_with(|| Vec::with_capacity(of * values.len()));
            field.extend(values);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut order = Order::default();
        while let Some(number) = self.task() {
            let made = catch_unwind(AssertUnwindSafe(|| self.made(number, &mut order)));
            let made = made.map_err(|_| format!("the thread that made sample {number} of the data broke down"));
            self.state().ready.insert(number, made);
            self.bell.notify_all();
        }
    }

    /// The number of a sample to make; none at the end.
    fn task(&self) -> Option<u64> {
        let mut state = self.state();
        while !state.over && state.next >= state.until {
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.next;
        state.next += 1;
        (!state.over).then_some(number)
    }

    fn made(&self, number: u64, order: &mut Order) -> Result<Sample, Skipped> {
        let index = order.index(self.order, number, self.set.len(Part::Train));
        let prepared = self.set.prepared(Part::Train, index)?;
        let place = Place { sample: number as u32, step: (number >> 32) as u32, ..Place::default() };
        let draw = rng::Stream::keyed(self.change, place);
        prepared.sample(self.set.steps(), Some(&draw)).map_err(|why| Skipped { file: prepared.stem.clone().into(), why })
    }

    /// The sample of this number; threads may then work `ahead` of it.
    fn take(&self, number: u64, ahead: usize) -> Made {
        let mut state = self.state();
        loop {
            if let Some(made) = state.ready.remove(&number) {
                state.until = number + 1 + ahead as u64;
                drop(state);
                self.bell.notify_all();
                return made;
            }
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The order of one epoch.
#[derive(Default)]
struct Order {
    epoch: Option<u64>,
    places: Vec<usize>,
}

impl Order {
    /// The index of sample `number` among `size`.
    fn index(&mut self, key: u64, number: u64, size: usize) -> usize {
        let epoch = number / size as u64;
        if self.epoch != Some(epoch) {
            let place = Place { sample: epoch as u32, step: (epoch >> 32) as u32, ..Place::default() };
            self.places = rng::Stream::keyed(key, place).permutation(0, size);
            self.epoch = Some(epoch);
        }
        self.places[(number % size as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use segc_lang::source::{SourceId, Span};
    use segc_lang::spec::{Filter, Pictures, Step};

    use super::*;
    use crate::data::open;

    fn data(name: &str, steps: Vec<Step>) -> Data {
        let source = Pictures::Scenes { hard: true };
        Data { name: name.into(), source, steps, size: (8, 8), span: Span { source: SourceId(0), start: 0, end: 0 } }
    }

    /// Crops, mirrors and a chunk of seven scenes.
    fn few(name: &str) -> Data {
        let steps = vec![
            Step::Resize { side: 11, by: Filter::Bilinear },
            Step::RandomCrop { side: 8 },
            Step::Flip { chance: 0.5 },
            Step::Range { low: -1.0, high: 1.0 },
            Step::Chunk { number: 1, of: 7 },
        ];
        data(name, steps)
    }

    fn stream(data: &Data, batch: usize, taken: u64, threads: usize) -> Stream {
        Stream::on_threads(data, open(data, 3).unwrap().into(), batch, (5, taken), threads).unwrap()
    }

    fn batches(mut stream: Stream, count: usize) -> Vec<Batch> {
        (0..count).map(|_| stream.next_batch().unwrap()).collect()
    }

    #[test]
    fn batches_do_not_depend_on_threads() {
        let one = batches(stream(&few("images"), 3, 0, 1), 12);
        for threads in [2, 5] {
            assert_eq!(batches(stream(&few("images"), 3, 0, threads), 12), one);
        }
        assert_eq!(one[0].fields["image"].len(), 3 * 3 * 64);
        assert_eq!(one[0].fields["label"].len(), 3 * 64);
        assert!(one.iter().all(|batch| batch.fields["image"].iter().all(|value| (-1.0..=1.0).contains(value))));
    }

    #[test]
    fn a_stream_goes_on_where_another_one_was() {
        let all = batches(stream(&few("images"), 3, 0, 2), 12);
        for (done, batch) in (0..).zip(&all) {
            let mut rest = stream(&few("images"), 3, 3 * done, 2);
            assert_eq!(rest.next_batch().unwrap(), *batch);
            assert_eq!(rest.taken(), 3 * (done + 1));
        }
    }

    #[test]
    fn every_sample_comes_once_per_epoch_in_changing_orders() {
        let stems: Vec<String> = batches(stream(&few("images"), 3, 0, 3), 14).into_iter().flat_map(|batch| batch.stems).collect();
        let epochs: Vec<&[String]> = stems.chunks(7).collect();
        for epoch in &epochs {
            let mut sorted = epoch.to_vec();
            sorted.sort();
            assert_eq!(sorted, (7..14).map(|number| format!("scene-{number:05}")).collect::<Vec<_>>());
        }
        assert!((1..6).any(|epoch| epochs[epoch] != epochs[0]));
        let others: Vec<String> = batches(stream(&few("others"), 3, 0, 3), 14).into_iter().flat_map(|batch| batch.stems).collect();
        assert_ne!(stems, others);
    }

    #[test]
    fn a_batch_may_hold_several_epochs() {
        let mut stream = stream(&few("images"), 20, 0, 2);
        let batch = stream.next_batch().unwrap();
        let seen = |stem: &str| batch.stems.iter().filter(|own| *own == stem).count();
        assert!((7..14).all(|number| (2..=3).contains(&seen(&format!("scene-{number:05}")))));
        assert_eq!((batch.stems.len(), stream.taken()), (20, 20));
    }

    #[test]
    fn samples_taken_twice_are_changed_anew() {
        let mut seen = std::collections::BTreeSet::new();
        let all = batches(stream(&few("images"), 7, 0, 2), 12);
        for batch in &all {
            let place = batch.stems.iter().position(|stem| stem == "scene-00007").unwrap();
            seen.insert(format!("{:?}", &batch.fields["image"][place * 192..(place + 1) * 192]));
        }
        assert!(seen.len() > 8, "{}", seen.len());
    }

    #[test]
    fn image_and_label_are_cut_alike() {
        let mut plain = few("images");
        plain.steps = vec![Step::Resize { side: 11, by: Filter::Bilinear }, Step::Chunk { number: 1, of: 7 }];
        plain.size = (11, 11);
        let whole = open(&plain, 3).unwrap();
        for batch in batches(stream(&few("images"), 7, 0, 2), 3) {
            for (place, stem) in batch.stems.iter().enumerate() {
                let index = stem.trim_start_matches("scene-").parse::<usize>().unwrap() - 7;
                let full = whole.sample(Part::Train, index).unwrap();
                let red = &batch.fields["image"][place * 192..place * 192 + 64];
                let label = &batch.fields["label"][place * 64..(place + 1) * 64];
                let fits = |(left, top, mirror): (usize, usize, bool)| {
                    (0..64).all(|pixel| {
                        let x = if mirror { 7 - pixel % 8 } else { pixel % 8 };
                        let at = (top + pixel / 8) * 11 + left + x;
                        (red[pixel] - (2.0 * full.image()[at] - 1.0)).abs() < 1e-6 && label[pixel] == full.label().unwrap()[at]
                    })
                };
                let ways = (0..32).map(|way| (way % 4, way / 4 % 4, way / 16 == 1));
                assert_eq!(ways.filter(|way| fits(*way)).count(), 1, "{stem}");
            }
        }
    }

    #[test]
    fn files_that_break_later_are_passed_over_and_told() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |number: usize| folder.path().join(format!("{number}.png"));
        let photo = |number: usize| image::RgbImage::from_pixel(8, 8, image::Rgb([number as u8; 3]));
        (0..5).for_each(|number| photo(number).save(at(number)).unwrap());
        let source = Pictures::Folder { photos: folder.path().to_string_lossy().into_owned(), labels: None, split: None };
        let data = Data { source, ..data("images", vec![Step::Resize { side: 8, by: Filter::Nearest }]) };
        let set: Arc<dyn DataSet> = open(&data, 0).unwrap().into();
        for broken in [1, 3] {
            let bytes = std::fs::read(at(broken)).unwrap();
            std::fs::write(at(broken), &bytes[..bytes.len() / 2]).unwrap();
        }
        let run = |threads| {
            let mut stream = Stream::on_threads(&data, set.clone(), 2, (0, 0), threads).unwrap();
            let stems: Vec<String> = (0..6).flat_map(|_| stream.next_batch().unwrap().stems).collect();
            let told: Vec<String> = stream.skipped().iter().map(|skipped| skipped.file.display().to_string()).collect();
            (stems, told, stream.taken())
        };
        let (stems, told, taken) = run(1);
        assert_eq!(run(3), (stems.clone(), told.clone(), taken));
        assert!(["0", "2", "4"].iter().all(|stem| stems.iter().filter(|own| own == stem).count() >= 3), "{stems:?}");
        assert_eq!((stems.len(), told.len()), (12, 2));
        (0..5).for_each(|number| std::fs::write(at(number), "no picture").unwrap());
        let mut stream = Stream::open(&data, open_again(&data, &at), 2, 0, 0).unwrap();
        assert!(matches!(stream.next_batch(), Err(RunError::Data(_))));
    }

    /// A set of good headers whose pixels are gone when they are read.
    fn open_again(data: &Data, at: &dyn Fn(usize) -> std::path::PathBuf) -> Arc<dyn DataSet> {
        (0..5).for_each(|number| image::RgbImage::new(8, 8).save(at(number)).unwrap());
        let set = open(data, 0).unwrap().into();
        (0..5).for_each(|number| std::fs::write(at(number), "no picture").unwrap());
        set
    }

    #[test]
    fn dropping_it_at_any_time_ends_it() {
        for taken in 0..4 {
            let mut stream = stream(&few("images"), 3, 0, 3);
            (0..taken).for_each(|_| drop(stream.next_batch().unwrap()));
        }
    }

    #[test]
    fn nothing_to_train_on_is_a_fault() {
        let mut data = few("images");
        data.steps = vec![Step::Chunk { number: 900, of: 20 }];
        assert!(open(&data, 0).err().unwrap().to_string().contains("begins with sample 18000, and there are 10000"));
    }
}
