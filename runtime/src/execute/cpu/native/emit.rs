//! Instructions of the processor for a body: a loop over rows, in it one over full vectors, then what is left of a row under a mask.
//!
//! A function gets the address of a frame, words of 64 bits ([`Word`]): `rdi`. It keeps the addresses of scalars, numbers and values that
//! had to give way in `rsi`, `rdx` and `rcx`, bytes from the start of a row in `rax`, those of its full vectors in `r9`, the addresses of
//! the first streams in [`ADDRESSES`]; `r8` is for anything.

use iced_x86::{BlockEncoder, BlockEncoderOptions, Code, IcedError, Instruction, InstructionBlock, MemoryOperand, Register as R};

use super::super::elementary::{Binary, Compare, Unary};
use super::registers::{Body, Placed, Register};
use super::tape::Even;

/// The instructions that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// Eight numbers in a register.
    Avx2,
    /// Sixteen.
    Avx512,
}

impl Isa {
    /// Numbers in a register.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Avx2 => 8,
            Isa::Avx512 => 16,
        }
    }

    /// Registers for values. With AVX2 the last two are for comparisons and the mask.
    pub fn registers(self) -> usize {
        match self {
            Isa::Avx2 => 14,
            Isa::Avx512 => 32,
        }
    }
}

/// The words of a frame before the addresses of the streams.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(super) enum Word {
    /// How many rows there are; counted down.
    Rows,
    /// Bytes of the full vectors of a row.
    Full,
    /// Numbers behind the full vectors of a row.
    Rest,
    /// With AVX-512 the bits of the lanes of the rest, else the address of its mask.
    Mask,
    /// Addresses.
    Scalars,
    Numbers,
    Away,
}

/// Words before those of the streams.
pub(super) const WORDS: usize = 7;

const ADDRESSES: [R; 8] = [R::R10, R::R11, R::RBX, R::RBP, R::R12, R::R13, R::R14, R::R15];
const SAVED: [R; 6] = [R::RBX, R::RBP, R::R12, R::R13, R::R14, R::R15];

/// Registers of AVX2 for a comparison and for the mask of the rest.
const COMPARED: Register = 14;
const MASK: Register = 15;

/// What a function is for.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub isa: Isa,
    pub body: &'a Body,
    /// Bytes from row to row of each stream.
    pub steps: &'a [i32],
    /// Streams that are written past the caches; their addresses are multiples of a vector.
    pub past: &'a [usize],
}

/// Machine code of a function `extern "sysv64" fn(*mut u64)`. Errors: an operand that an instruction does not take.
pub(super) fn emitted(plan: Plan) -> Result<Vec<u8>, IcedError> {
    let mut emitter = Emitter { plan, out: Vec::new(), jumps: Vec::new() };
    emitter.function()?;
    emitter.encoded()
}

/// Which part of a row a body is for.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Full,
    Rest,
}

struct Emitter<'a> {
    plan: Plan<'a>,
    out: Vec<Instruction>,
    /// Jumps and the instructions that they go to, both by number.
    jumps: Vec<(usize, usize)>,
}

impl Emitter<'_> {
    fn function(&mut self) -> Result<(), IcedError> {
        for register in SAVED {
            self.push(Instruction::with1(Code::Push_r64, register)?);
        }
        let addresses = [(Word::Scalars, R::RSI), (Word::Numbers, R::RDX), (Word::Away, R::RCX), (Word::Full, R::R9)];
        for (word, register) in addresses {
            self.push(Instruction::with2(Code::Mov_r64_rm64, register, word_at(word as usize))?);
        }
        for (stream, register) in (0..self.plan.steps.len()).zip(ADDRESSES) {
            self.push(Instruction::with2(Code::Mov_r64_rm64, register, word_at(WORDS + stream))?);
        }
        self.mask()?;
        self.kept(|even| !matches!(even, Even::Row(_)))?;
        self.rows()?;
        if !self.plan.past.is_empty() {
            self.push(Instruction::with(Code::Sfence));
        }
        self.push(Instruction::with(Code::VEX_Vzeroupper));
        for register in SAVED.into_iter().rev() {
            self.push(Instruction::with1(Code::Pop_r64, register)?);
        }
        self.push(Instruction::with(Code::Retnq));
        Ok(())
    }

    fn mask(&mut self) -> Result<(), IcedError> {
        self.push(Instruction::with2(Code::Mov_r64_rm64, R::R8, word_at(Word::Mask as usize))?);
        let mask = match self.plan.isa {
            Isa::Avx512 => Instruction::with2(Code::VEX_Kmovw_kr_r32, R::K1, R::R8D)?,
            Isa::Avx2 => Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, self.wide(MASK), MemoryOperand::with_base(R::R8))?,
        };
        self.push(mask);
        Ok(())
    }

    /// Fills registers that are kept.
    fn kept(&mut self, of: impl Fn(Even) -> bool) -> Result<(), IcedError> {
        for &(to, even) in self.plan.body.kept.iter().filter(|(_, even)| of(*even)) {
            self.even(to, even)?;
        }
        Ok(())
    }

    fn rows(&mut self) -> Result<(), IcedError> {
        let row = self.out.len();
        self.kept(|even| matches!(even, Even::Row(_)))?;
        self.push(Instruction::with2(Code::Xor_r32_rm32, R::EAX, R::EAX)?);
        self.push(Instruction::with2(Code::Cmp_r64_rm64, R::RAX, R::R9)?);
        let none = self.jump(Code::Jae_rel32_64)?;
        let vector = self.out.len();
        self.body(Part::Full)?;
        self.push(Instruction::with2(Code::Add_rm64_imm8, R::RAX, 4 * self.plan.isa.lanes() as i32)?);
        self.push(Instruction::with2(Code::Cmp_r64_rm64, R::RAX, R::R9)?);
        let again = self.jump(Code::Jb_rel32_64)?;
        self.jumps.extend([(none, self.out.len()), (again, vector)]);
        self.push(Instruction::with2(Code::Cmp_rm64_imm8, word_at(Word::Rest as usize), 0)?);
        let even = self.jump(Code::Je_rel32_64)?;
        self.body(Part::Rest)?;
        self.jumps.push((even, self.out.len()));
        self.push(Instruction::with2(Code::Sub_rm64_imm8, word_at(Word::Rows as usize), 1)?);
        let end = self.jump(Code::Je_rel32_64)?;
        for (stream, step) in self.plan.steps.iter().enumerate() {
            let add = match ADDRESSES.get(stream) {
                Some(register) => Instruction::with2(Code::Add_rm64_imm32, *register, *step)?,
                None => Instruction::with2(Code::Add_rm64_imm32, word_at(WORDS + stream), *step)?,
            };
            self.push(add);
        }
        let next = self.jump(Code::Jmp_rel32_64)?;
        self.jumps.extend([(next, row), (end, self.out.len())]);
        Ok(())
    }

    fn body(&mut self, part: Part) -> Result<(), IcedError> {
        let body = self.plan.body;
        body.ops.iter().try_for_each(|op| self.op(*op, part))
    }

    fn op(&mut self, op: Placed, part: Part) -> Result<(), IcedError> {
        match op {
            Placed::Even(to, even) => self.even(to, even),
            Placed::Load(to, stream) => self.load(to, stream, part),
            Placed::Store(stream, from) => self.store(stream, from, part),
            Placed::Away(place, from) => {
                let to = self.away(place);
                self.two(Code::VEX_Vmovups_ymmm256_ymm, Code::EVEX_Vmovups_zmmm512_k1z_zmm, to, from)
            }
            Placed::Back(to, place) => {
                let (to, from) = (self.wide(to), self.away(place));
                let code = self.code(Code::VEX_Vmovups_ymm_ymmm256, Code::EVEX_Vmovups_zmm_k1z_zmmm512);
                self.push(Instruction::with2(code, to, from)?);
                Ok(())
            }
            Placed::Unary(op, to, a) => self.unary(op, to, a),
            Placed::Binary(op, to, a, b) => {
                let [narrow, wide] = binary(op);
                self.three(narrow, wide, to, a, b)
            }
            Placed::MultiplyAdd(to, from) => self.multiply_add(to, from),
            Placed::Pick(compare, to, values, yes, no) => self.pick(compare, to, values, yes, no),
        }
    }

    fn even(&mut self, to: Register, even: Even) -> Result<(), IcedError> {
        let from = match even {
            Even::Scalar(number) => place(R::RSI, 4 * number),
            Even::Number(number) => place(R::RDX, 4 * number),
            Even::Row(stream) => MemoryOperand::with_base(self.address(stream)?),
        };
        let code = self.code(Code::VEX_Vbroadcastss_ymm_m32, Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32);
        self.push(Instruction::with2(code, self.wide(to), from)?);
        Ok(())
    }

    /// The register that holds the address of a stream now.
    fn address(&mut self, stream: usize) -> Result<R, IcedError> {
        if let Some(register) = ADDRESSES.get(stream) {
            return Ok(*register);
        }
        self.push(Instruction::with2(Code::Mov_r64_rm64, R::R8, word_at(WORDS + stream))?);
        Ok(R::R8)
    }

    fn load(&mut self, to: Register, stream: usize, part: Part) -> Result<(), IcedError> {
        let (to, from) = (self.wide(to), MemoryOperand::with_base_index(self.address(stream)?, R::RAX));
        let load = match (self.plan.isa, part) {
            (Isa::Avx2, Part::Rest) => Instruction::with3(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, self.wide(MASK), from)?,
            (Isa::Avx2, Part::Full) => Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, to, from)?,
            (Isa::Avx512, _) => {
                let mut load = Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, to, from)?;
                if part == Part::Rest {
                    load.set_op_mask(R::K1);
                    load.set_zeroing_masking(true);
                }
                load
            }
        };
        self.push(load);
        Ok(())
    }

    fn store(&mut self, stream: usize, from: Register, part: Part) -> Result<(), IcedError> {
        let (from, to) = (self.wide(from), MemoryOperand::with_base_index(self.address(stream)?, R::RAX));
        let past = self.plan.past.contains(&stream);
        let store = match (self.plan.isa, part) {
            (Isa::Avx2, Part::Rest) => Instruction::with3(Code::VEX_Vmaskmovps_m256_ymm_ymm, to, self.wide(MASK), from)?,
            (Isa::Avx2, Part::Full) if past => Instruction::with2(Code::VEX_Vmovntps_m256_ymm, to, from)?,
            (Isa::Avx2, Part::Full) => Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, to, from)?,
            (Isa::Avx512, Part::Full) if past => Instruction::with2(Code::EVEX_Vmovntps_m512_zmm, to, from)?,
            (Isa::Avx512, _) => {
                let mut store = Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, to, from)?;
                if part == Part::Rest {
                    store.set_op_mask(R::K1);
                }
                store
            }
        };
        self.push(store);
        Ok(())
    }

    fn unary(&mut self, op: Unary, to: Register, a: Register) -> Result<(), IcedError> {
        let (to, a) = (self.wide(to), self.wide(a));
        let round = self.code(Code::VEX_Vroundps_ymm_ymmm256_imm8, Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae);
        let right = self.code(Code::VEX_Vpsrad_ymm_ymm_imm8, Code::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8);
        let instruction = match op {
            Unary::Sqrt => {
                let code = self.code(Code::VEX_Vsqrtps_ymm_ymmm256, Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er);
                Instruction::with2(code, to, a)?
            }
            // Downwards and to even, without an exception for what is not whole.
            Unary::Floor => Instruction::with3(round, to, a, 9)?,
            Unary::Round => Instruction::with3(round, to, a, 8)?,
            Unary::Halve => Instruction::with3(right, to, a, 1)?,
            Unary::Leading => Instruction::with3(right, to, a, 23)?,
            Unary::Exponent => {
                let left = self.code(Code::VEX_Vpslld_ymm_ymm_imm8, Code::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8);
                Instruction::with3(left, to, a, 23)?
            }
        };
        self.push(instruction);
        Ok(())
    }

    /// The instructions write over one of the factors or over the summand.
    fn multiply_add(&mut self, to: Register, [a, b, c]: [Register; 3]) -> Result<(), IcedError> {
        let product = [Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256, Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er];
        let sum = [Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256, Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er];
        if to == c {
            return self.three(sum[0], sum[1], c, a, b);
        }
        let (own, other) = if to == b { (b, a) } else { (a, b) };
        if to != own {
            let (to, own) = (self.wide(to), self.wide(own));
            let code = self.code(Code::VEX_Vmovaps_ymm_ymmm256, Code::EVEX_Vmovaps_zmm_k1z_zmmm512);
            self.push(Instruction::with2(code, to, own)?);
        }
        self.three(product[0], product[1], to, other, c)
    }

    fn pick(&mut self, compare: Compare, to: Register, [a, b]: [Register; 2], yes: Register, no: Register) -> Result<(), IcedError> {
        // Those that raise no exception for NaN.
        let predicate = match compare {
            Compare::Equal => 0,
            Compare::Unordered => 3,
            Compare::NotEqual => 4,
            Compare::Less => 17,
            Compare::LessEqual => 18,
            Compare::Greater => 30,
        };
        let [to, a, b, yes, no] = [to, a, b, yes, no].map(|register| self.wide(register));
        match self.plan.isa {
            Isa::Avx2 => {
                let compared = self.wide(COMPARED);
                self.push(Instruction::with4(Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8, compared, a, b, predicate)?);
                self.push(Instruction::with4(Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm, to, no, yes, compared)?);
            }
            Isa::Avx512 => {
                self.push(Instruction::with4(Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, R::K2, a, b, predicate)?);
                let mut blend = Instruction::with3(Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, to, no, yes)?;
                blend.set_op_mask(R::K2);
                self.push(blend);
            }
        }
        Ok(())
    }

    fn two(&mut self, narrow: Code, wide: Code, to: MemoryOperand, from: Register) -> Result<(), IcedError> {
        self.push(Instruction::with2(self.code(narrow, wide), to, self.wide(from))?);
        Ok(())
    }

    fn three(&mut self, narrow: Code, wide: Code, to: Register, a: Register, b: Register) -> Result<(), IcedError> {
        self.push(Instruction::with3(self.code(narrow, wide), self.wide(to), self.wide(a), self.wide(b))?);
        Ok(())
    }

    fn code(&self, narrow: Code, wide: Code) -> Code {
        if self.plan.isa == Isa::Avx512 { wide } else { narrow }
    }

    fn wide(&self, register: Register) -> R {
        let first = if self.plan.isa == Isa::Avx512 { R::ZMM0 } else { R::YMM0 };
        first + u32::from(register)
    }

    fn away(&self, number: usize) -> MemoryOperand {
        place(R::RCX, 4 * self.plan.isa.lanes() * number)
    }

    fn push(&mut self, instruction: Instruction) {
        self.out.push(instruction);
    }

    /// A jump whose aim comes later; its number.
    fn jump(&mut self, code: Code) -> Result<usize, IcedError> {
        self.push(Instruction::with_branch(code, 0)?);
        Ok(self.out.len() - 1)
    }

    fn encoded(mut self) -> Result<Vec<u8>, IcedError> {
        // Until they have addresses, instructions go by their numbers.
        let name = |number: usize| 1 + number as u64;
        for (number, instruction) in self.out.iter_mut().enumerate() {
            instruction.set_ip(name(number));
        }
        for (from, to) in self.jumps {
            self.out[from].set_near_branch64(name(to));
        }
        Ok(BlockEncoder::encode(64, InstructionBlock::new(&self.out, 0), BlockEncoderOptions::NONE)?.code_buffer)
    }
}

fn word_at(word: usize) -> MemoryOperand {
    place(R::RDI, 8 * word)
}

fn place(base: R, bytes: usize) -> MemoryOperand {
    MemoryOperand::with_base_displ(base, bytes as i64)
}

/// With AVX2 and with AVX-512.
fn binary(op: Binary) -> [Code; 2] {
    match op {
        Binary::Add => [Code::VEX_Vaddps_ymm_ymm_ymmm256, Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er],
        Binary::Subtract => [Code::VEX_Vsubps_ymm_ymm_ymmm256, Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er],
        Binary::Multiply => [Code::VEX_Vmulps_ymm_ymm_ymmm256, Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er],
        Binary::Divide => [Code::VEX_Vdivps_ymm_ymm_ymmm256, Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er],
        Binary::Larger => [Code::VEX_Vmaxps_ymm_ymm_ymmm256, Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae],
        Binary::Smaller => [Code::VEX_Vminps_ymm_ymm_ymmm256, Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae],
        Binary::And => [Code::VEX_Vpand_ymm_ymm_ymmm256, Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32],
        Binary::Or => [Code::VEX_Vpor_ymm_ymm_ymmm256, Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32],
        Binary::Xor => [Code::VEX_Vpxor_ymm_ymm_ymmm256, Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32],
        Binary::AddBits => [Code::VEX_Vpaddd_ymm_ymm_ymmm256, Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32],
        Binary::SubtractBits => [Code::VEX_Vpsubd_ymm_ymm_ymmm256, Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32],
    }
}
