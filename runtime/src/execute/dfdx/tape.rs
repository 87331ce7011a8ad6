//! Values on dfdx and the few of its kernels that everything is made of. A value is one axis of elements in row-major order, so that no
//! rank is special; every value has an id of its own, which dfdx's backward pass demands of the operands of a kernel.

use dfdx::prelude::{
    Axis, Backward, ChooseFrom, Cpu, CpuError, Device, Dtype, GatherTo, MaxTo, MinTo, OwnedTape, PutTape, Rank0, ReshapeTo, Shape,
    SplitTape, SumTo, Tensor, TensorFromVec, TryAdd, TryConcatAlong, TryMatMul, TryMul,
};
use segc_compiler::kernel::Join;

/// A value.
pub(super) type Flat<E> = Tensor<(usize,), E, Cpu>;

/// For each element of a result where it is read.
pub(super) type Index = Tensor<(usize,), usize, Cpu>;

/// Truth, element by element.
pub(super) type Truth = Tensor<(usize,), bool, Cpu>;

/// A tensor that carries the tape.
type Taped<S, E> = Tensor<S, E, Cpu, OwnedTape<E, Cpu>>;

/// The numbers that dfdx computes with.
pub trait Real: Dtype {
    /// The nearest one.
    fn of(value: f64) -> Self;
    /// The same number in double precision.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(value: f64) -> f64 {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

/// dfdx's tape, threaded through every kernel by hand.
pub(super) struct Tape<E: Real> {
    held: OwnedTape<E, Cpu>,
    recording: bool,
    pub device: Cpu,
}

/// Why a kernel did not run, in words: dfdx refuses for want of memory only.
pub(super) fn refused(error: CpuError) -> String {
    format!("dfdx: {error}")
}

impl<E: Real> Tape<E>
where
    Cpu: Device<E>,
{
    /// A tape that records from the start, or one that never does.
    pub fn new(device: &Cpu, recording: bool) -> Tape<E> {
        Tape { held: OwnedTape::default(), recording, device: device.clone() }
    }

    /// What `work` gives, as a constant of the tape.
    pub fn constant<R>(&mut self, work: impl FnOnce(&mut Tape<E>) -> R) -> R {
        let mut other = Tape::new(&self.device, false);
        work(&mut other)
    }

    /// A value from its elements.
    pub fn value(&self, elements: Vec<E>) -> Result<Flat<E>, String> {
        let count = elements.len();
        self.device.try_tensor_from_vec(elements, (count,)).map_err(refused)
    }

    /// The same number `count` times.
    pub fn filled(&self, number: f64, count: usize) -> Result<Flat<E>, String> {
        self.value(vec![E::of(number); count])
    }

    /// A kernel of one operand that takes the tape along.
    pub fn one<S: Shape, R: Shape>(
        &mut self,
        x: Tensor<S, E, Cpu>,
        kernel: impl FnOnce(Taped<S, E>) -> Result<Taped<R, E>, CpuError>,
    ) -> Result<Tensor<R, E, Cpu>, String> {
        let held = std::mem::take(&mut self.held);
        let (y, held) = kernel(x.put_tape(held)).map_err(refused)?.split_tape();
        if self.recording {
            self.held = held;
        }
        Ok(y)
    }

    /// The same value under an id of its own.
    pub fn again(&mut self, x: &Flat<E>) -> Result<Flat<E>, String> {
        self.scaled(x, 1.0)
    }

    /// `x * by`.
    pub fn scaled(&mut self, x: &Flat<E>, by: f64) -> Result<Flat<E>, String> {
        self.one(x.clone(), |x| x.try_mul(E::of(by)))
    }

    /// `x + by`.
    pub fn shifted(&mut self, x: &Flat<E>, by: f64) -> Result<Flat<E>, String> {
        self.one(x.clone(), |x| x.try_add(E::of(by)))
    }

    /// `yes` where `on`, else `no`.
    pub fn choose(&mut self, on: Truth, yes: &Flat<E>, no: &Flat<E>) -> Result<Flat<E>, String> {
        let no = no.clone();
        self.one(yes.clone(), |yes| on.try_choose(yes, no))
    }

    /// 1 where true, 0 where not.
    pub fn numbers(&mut self, on: Truth) -> Result<Flat<E>, String> {
        let count = on.as_vec().len();
        let (one, none) = (self.filled(1.0, count)?, self.filled(0.0, count)?);
        self.choose(on, &one, &none)
    }

    /// The elements of all values one after the other, then `pad` where there is one.
    pub fn joined(&mut self, values: &[Flat<E>], pad: Option<f64>) -> Result<Flat<E>, String> {
        let pad = pad.map(|pad| self.filled(pad, 1)).transpose()?;
        let mut rest = values.iter().cloned().chain(pad);
        let Some(mut joined) = rest.next() else { return self.value(Vec::new()) };
        for next in rest {
            joined = self.one(joined, |joined| (joined, next).try_concat_along(Axis::<0>))?;
        }
        Ok(joined)
    }

    /// Element `index[i]` of x at place i.
    pub fn gather(&mut self, x: &Flat<E>, index: &Index) -> Result<Flat<E>, String> {
        let index = index.clone();
        self.one(x.clone(), |x| x.try_gather(index))
    }

    /// A value of rows of so many columns, each row summed up.
    pub fn sum(&mut self, x: &Flat<E>, columns: usize) -> Result<Flat<E>, String> {
        let rows = x.as_vec().len() / columns.max(1);
        self.one(x.clone(), |x| x.try_reshape_like(&(rows, columns))?.try_sum::<(usize,), Axis<1>>())
    }

    /// The largest or smallest element of each row.
    pub fn extreme(&mut self, x: &Flat<E>, columns: usize, join: Join) -> Result<Flat<E>, String> {
        let rows = x.as_vec().len() / columns.max(1);
        let rows_of = |x: Taped<(usize,), E>| x.try_reshape_like(&(rows, columns));
        match join {
            Join::Min => self.one(x.clone(), |x| rows_of(x)?.try_min::<(usize,), Axis<1>>()),
            Join::Max | Join::Sum => self.one(x.clone(), |x| rows_of(x)?.try_max::<(usize,), Axis<1>>()),
        }
    }

    /// Batched matrix product of `left [b, k, m]` and `right [b, k, n]` over k: `[b, m, n]`. It is the sum of dfdx's batched products
    /// over single places of k: its product over several places loses all but the last one when it is built without `gemm`.
    pub fn product(&mut self, left: &Flat<E>, right: &Flat<E>, [b, k, m, n]: [usize; 4]) -> Result<Flat<E>, String> {
        let right = right.clone().try_reshape_like(&(b * k, 1, n)).map_err(refused)?;
        let parts = self.one(left.clone(), |left| left.try_reshape_like(&(b * k, m, 1))?.try_matmul(right))?;
        let sums = self.one(parts, |parts| parts.try_reshape_like(&(b, k, m * n))?.try_sum::<(usize, usize), Axis<1>>())?;
        sums.try_reshape_like(&(b * m * n,)).map_err(refused)
    }

    /// The derivatives of `y`, one element, with respect to values that the tape has met; the tape is used up.
    pub fn gradients(self, y: &Flat<E>, wrt: &[Flat<E>]) -> Result<Vec<Flat<E>>, String> {
        let loss = y.clone().put_tape(self.held).try_sum::<Rank0, Axis<0>>().map_err(refused)?;
        let mut slopes = loss.try_backward().map_err(refused)?;
        let mut slope = |x: &Flat<E>| -> Result<Flat<E>, String> {
            // What nothing depends on has no slope yet.
            slopes.get_or_alloc_mut(x).map_err(refused)?;
            Ok(slopes.get(x))
        };
        wrt.iter().map(&mut slope).collect()
    }
}
