//! The cuda executor: programs printed as CUDA C, compiled by NVRTC when they are made ready, run on an NVIDIA card. `run` brings inputs up
//! and results down each time; training keeps everything on the card and replays graphs, on top of [`driver`].

pub mod driver;
mod pace;
pub mod print;
mod resident;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use segc_compiler::Program;
use segc_compiler::kernel::{Kernel, Place, Whole};

use super::definition::Definition;
use super::{Cpu, Device, Executable, Finding, Scratch, finding};
use crate::outcome::RunError;
use driver::{Bound, Card, CardError, Ready, Room, Stream, View};
use print::{Act, Libraries, Precision, Printed};
pub use resident::{Input, Noted, Resident};

/// Runs programs on the first card that the driver shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuda {
    /// How products of matrices and convolutions read their operands.
    pub precision: Precision,
    /// Which of them are left to cuBLASLt and cuDNN, where those are there.
    pub libraries: Libraries,
}

impl Cuda {
    /// All that there are, those that `--on cuda` means first.
    pub const ALL: [Cuda; 9] = {
        use Libraries::{Always, Never};
        use Precision::{Bf16, F32, Tf32};
        [
            Cuda::new(F32),
            Cuda::new(Tf32),
            Cuda::new(Bf16),
            Cuda::new(F32).with(Never),
            Cuda::new(Tf32).with(Never),
            Cuda::new(Bf16).with(Never),
            Cuda::new(F32).with(Always),
            Cuda::new(Tf32).with(Always),
            Cuda::new(Bf16).with(Always),
        ]
    };

    /// With this precision; large products and convolutions are left to libraries.
    pub const fn new(precision: Precision) -> Cuda {
        Cuda { precision, libraries: Libraries::Large }
    }

    /// The same with so much left to libraries.
    pub const fn with(self, libraries: Libraries) -> Cuda {
        Cuda { libraries, ..self }
    }

    /// A program that is loaded, for who runs it by [`driver`] alone.
    ///
    /// # Errors
    /// [`RunError::Environment`] for what is missing and what the driver finds.
    pub fn ready(&self, program: &Program) -> Result<Ready, RunError> {
        let card = card()?;
        Ok(Ready::new(&card, program, &self.printed(program))?)
    }

    fn printed(&self, program: &Program) -> Printed {
        Printed { calls: print::calls(program, self.precision, self.libraries), ..print::printed(program, self.precision) }
    }
}

/// The card that programs run on, opened when it is first asked for.
///
/// # Errors
/// [`CardError::Missing`] without a driver, NVRTC or card; what the driver finds.
pub fn card() -> Result<Card, CardError> {
    static CARD: OnceLock<Result<Card, CardError>> = OnceLock::new();
    let open = || {
        let card = Card::open(0)?;
        card.compiles()?;
        Ok(card)
    };
    CARD.get_or_init(open).clone()
}

/// Memory that programs which run one after the other share.
static ROOM: Mutex<Option<Room>> = Mutex::new(None);

struct Prepared {
    program: Program,
    ready: Ready,
    /// Kernels that the host computes.
    hosts: HashMap<usize, Host>,
    /// Memory on the card, once it has run.
    bound: Mutex<Option<Bound>>,
}

/// A kernel that the host computes.
struct Host {
    definition: Definition,
    /// Place and elements.
    operands: Vec<(Place, usize)>,
    result: (Place, usize),
}

/// What looks on while a program runs: after what comes before the first kernel, and after each. It says whether to go on.
type Look<'a> = &'a mut dyn FnMut(Option<usize>, &mut Stream, &Bound) -> Result<bool, String>;

impl Device for Cuda {
    fn name(&self) -> &'static str {
        match (self.precision, self.libraries) {
            (Precision::F32, Libraries::Large) => "cuda",
            (Precision::Tf32, Libraries::Large) => "cuda, tf32",
            (Precision::Bf16, Libraries::Large) => "cuda, bf16",
            (Precision::F32, Libraries::Never) => "cuda, no libraries",
            (Precision::Tf32, Libraries::Never) => "cuda, tf32, no libraries",
            (Precision::Bf16, Libraries::Never) => "cuda, bf16, no libraries",
            (Precision::F32, Libraries::Always) => "cuda, all by libraries",
            (Precision::Tf32, Libraries::Always) => "cuda, tf32, all by libraries",
            (Precision::Bf16, Libraries::Always) => "cuda, bf16, all by libraries",
        }
    }

    fn writes_over(&self) -> bool {
        true
    }

    fn beginner(&self) -> Option<Box<dyn Device>> {
        Some(Box::new(Cpu::default()))
    }

    fn resident(&self, recorded: bool) -> Result<Option<Resident>, RunError> {
        Ok(Some(Resident::new(card()?, recorded)?))
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError> {
        let card = card()?;
        let printed = self.printed(&program);
        let host = |(number, act): &(usize, Act)| match (act, &program.kernels[*number]) {
            (Act::Host, Kernel::Whole(whole)) => Some(Host::new(whole).map(|host| (*number, host))),
            _ => None,
        };
        let hosts = printed.acts.iter().filter_map(host).collect::<Result<_, String>>().map_err(RunError::Usage)?;
        let ready = Ready::new(&card, &program, &printed)?;
        Ok(Box::new(Prepared { program, ready, hosts, bound: Mutex::default() }))
    }
}

impl Executable for Prepared {
    fn program(&self) -> &Program {
        &self.program
    }

    fn on_card(&self) -> Option<&Ready> {
        Some(&self.ready)
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        self.all(inputs, scratch, &mut |_, _, _| Ok(true))
    }

    fn timed(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Vec<Duration>, String> {
        let mut times = vec![Duration::ZERO; self.program.kernels.len()];
        let mut before = Instant::now();
        self.all(inputs, scratch, &mut |kernel, stream, _| {
            stream.synchronize()?;
            if let Some(kernel) = kernel {
                times[kernel] += before.elapsed();
            }
            before = Instant::now();
            Ok(true)
        })?;
        Ok(times)
    }

    fn check(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Option<Finding>, String> {
        if self.program.outputs.iter().any(|(_, place, _)| matches!(place, Place::Result(_))) {
            self.run(inputs, scratch)?;
            return Ok(finding::of_results(&self.program, inputs, scratch));
        }
        let mut found = None;
        self.all(inputs, scratch, &mut |kernel, stream, bound| {
            let Some(kernel) = kernel else { return Ok(true) };
            found = finding::of_kernel(&self.program, kernel, inputs, |buffer| {
                let view = self.ready.view(bound, Place::Arena(buffer.at))?.part(0, buffer.elements)?;
                Ok(down(stream, &view)?.into())
            })?;
            Ok(found.is_none())
        })?;
        Ok(found)
    }
}

impl Prepared {
    /// Every kernel; results are left in the scratch unless `look` ended it.
    fn all(&self, inputs: &[&[f32]], scratch: &mut Scratch, look: Look) -> Result<(), String> {
        let mut bound = lock(&self.bound);
        let bound: &Bound = match &mut *bound {
            Some(bound) => bound,
            none => none.insert(self.bind()?),
        };
        let mut stream = self.ready.card().stream()?;
        self.bring(&mut stream, bound, inputs, scratch)?;
        self.ready.begin(&mut stream)?;
        let mut going = look(None, &mut stream, bound)?;
        let acts: Vec<(usize, (usize, bool))> = self.ready.acts().enumerate().collect();
        for group in acts.chunk_by(|(_, (one, _)), (_, (other, _))| one == other) {
            for (act, (kernel, by_host)) in group {
                match self.hosts.get(kernel).filter(|_| *by_host) {
                    Some(host) => self.host(host, &mut stream, bound)?,
                    None => self.ready.launch(&mut stream, bound, *act)?,
                }
            }
            going = look(Some(group[0].1.0), &mut stream, bound)?;
            if !going {
                break;
            }
        }
        if going { self.leave(&mut stream, bound, inputs, scratch) } else { Ok(()) }
    }

    /// Inputs, or what is written over them, to the card.
    fn bring(&self, stream: &mut Stream, bound: &Bound, inputs: &[&[f32]], scratch: &Scratch) -> Result<(), CardError> {
        let over = |input: usize| self.program.over.iter().position(|over| *over == Some(input));
        for (number, (_, shape)) in self.program.inputs.iter().enumerate() {
            let elements = shape.iter().product::<usize>();
            let from = over(number).map_or(inputs[number], |result| &scratch.outputs[result]);
            stream.upload(&from[..elements], &self.ready.view(bound, Place::Input(number))?)?;
        }
        Ok(())
    }

    /// Results from the card.
    fn leave(&self, stream: &mut Stream, bound: &Bound, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        self.ready.end(stream, bound)?;
        scratch.held = self.ready.held(stream)?;
        for (number, output) in scratch.outputs.iter_mut().enumerate() {
            match self.program.outputs[number].1 {
                Place::Input(input) => {
                    let elements = output.len();
                    output.copy_from_slice(&inputs[input][..elements]);
                }
                _ => stream.download(&self.ready.output(bound, number)?, output)?,
            }
        }
        Ok(())
    }

    /// A kernel on copies of its operands.
    fn host(&self, host: &Host, stream: &mut Stream, bound: &Bound) -> Result<(), CardError> {
        let view = |(place, elements): (Place, usize)| self.ready.view(bound, place)?.part(0, elements);
        let operands = host.operands.iter().map(|operand| down(stream, &view(*operand)?));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let mut result = vec![0.0; host.result.1];
        host.definition.compute(&operands.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut result);
        stream.upload(&result, &view(host.result)?)
    }

    /// Memory on the card for all that a run needs.
    fn bind(&self) -> Result<Bound, CardError> {
        let card = self.ready.card();
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        let inputs = self.program.inputs.iter().map(|(_, shape)| Ok(card.buffer(elements(shape))?.view()));
        let inputs = inputs.collect::<Result<_, CardError>>()?;
        let own = |((_, place, shape), over): (&(String, Place, Vec<usize>), &Option<usize>)| match place {
            Place::Result(_) if over.is_none() => Ok(Some(card.buffer(elements(shape))?.view())),
            _ => Ok(None),
        };
        // A program that writes over nothing has an empty list.
        let over = self.program.over.iter().chain(std::iter::repeat(&None));
        let results = self.program.outputs.iter().zip(over).map(own).collect::<Result<_, CardError>>()?;
        self.ready.bind(&room(card, &self.ready)?, inputs, results)
    }
}

impl Host {
    /// Errors: an algorithm of the host that does not exist.
    fn new(whole: &Whole) -> Result<Host, String> {
        let sized = |(place, shape): &(Place, Vec<usize>)| (*place, shape.iter().product());
        Ok(Host { definition: Definition::new(whole)?, operands: whole.operands.iter().map(sized).collect(), result: sized(&whole.result) })
    }
}

/// The common room, made larger if it has to be.
fn room(card: &Card, ready: &Ready) -> Result<Room, CardError> {
    let mut room = lock(&ROOM);
    match &*room {
        Some(room) if room.needs().covers(ready.needs()) => Ok(room.clone()),
        smaller => {
            let needs = smaller.as_ref().map_or(ready.needs(), |room| room.needs().max(ready.needs()));
            Ok(room.insert(Room::new(card, needs)?).clone())
        }
    }
}

/// Elements from the card.
fn down(stream: &mut Stream, from: &View) -> Result<Vec<f32>, CardError> {
    let mut to = vec![0.0; from.elements()];
    stream.download(from, &mut to)?;
    Ok(to)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
