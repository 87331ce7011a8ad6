//! Kinds of elements of tensors in files, and their values in single precision.

use safetensors::Dtype;

/// The elements of a tensor in a file, the lowest byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    const ALL: [Element; 10] = [
        Element::F64,
        Element::F32,
        Element::F16,
        Element::BF16,
        Element::I64,
        Element::I32,
        Element::I16,
        Element::I8,
        Element::U8,
        Element::Bool,
    ];

    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::BF16 | Element::I16 => 2,
            Element::I8 | Element::U8 | Element::Bool => 1,
        }
    }

    /// Its name as safetensors and we write it: `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Element::F64 => "f64",
            Element::F32 => "f32",
            Element::F16 => "f16",
            Element::BF16 => "bf16",
            Element::I64 => "i64",
            Element::I32 => "i32",
            Element::I16 => "i16",
            Element::I8 => "i8",
            Element::U8 => "u8",
            Element::Bool => "bool",
        }
    }

    /// Whether elements are real numbers, which weights are.
    pub fn is_real(self) -> bool {
        matches!(self, Element::F64 | Element::F32 | Element::F16 | Element::BF16)
    }

    /// The kind of a storage's class in PyTorch, such as `torch.FloatStorage`.
    pub fn of_class(class: &str) -> Option<Element> {
        let own = class.strip_prefix("torch.")?;
        let own = own.strip_prefix("cuda.").or_else(|| own.strip_prefix("storage.")).unwrap_or(own);
        Some(match own.strip_suffix("Storage")? {
            "Double" => Element::F64,
            "Float" => Element::F32,
            "Half" => Element::F16,
            "BFloat16" => Element::BF16,
            "Long" => Element::I64,
            "Int" => Element::I32,
            "Short" => Element::I16,
            "Char" => Element::I8,
            "Byte" => Element::U8,
            "Bool" => Element::Bool,
            _ => return None,
        })
    }

    /// The kind in safetensors.
    pub fn dtype(self) -> Dtype {
        match self {
            Element::F64 => Dtype::F64,
            Element::F32 => Dtype::F32,
            Element::F16 => Dtype::F16,
            Element::BF16 => Dtype::BF16,
            Element::I64 => Dtype::I64,
            Element::I32 => Dtype::I32,
            Element::I16 => Dtype::I16,
            Element::I8 => Dtype::I8,
            Element::U8 => Dtype::U8,
            Element::Bool => Dtype::BOOL,
        }
    }

    /// The kind of a tensor in safetensors, if it is one of these.
    pub fn of_dtype(dtype: Dtype) -> Option<Element> {
        Element::ALL.into_iter().find(|one| one.dtype() == dtype)
    }

    /// Values of real elements in single precision; none for whole numbers and truth values.
    pub fn reals(self, bytes: &[u8]) -> Option<Vec<f32>> {
        match self {
            Element::F32 => Some(bytes.as_chunks().0.iter().map(|one| f32::from_le_bytes(*one)).collect()),
            Element::F64 => Some(bytes.as_chunks().0.iter().map(|one| f64::from_le_bytes(*one) as f32).collect()),
            Element::F16 => Some(bytes.as_chunks().0.iter().map(|one| half(u16::from_le_bytes(*one))).collect()),
            // The upper half of a single.
            Element::BF16 => {
                Some(bytes.as_chunks().0.iter().map(|one| f32::from_bits(u32::from(u16::from_le_bytes(*one)) << 16)).collect())
            }
            _ => None,
        }
    }
}

/// A number of half precision (IEEE 754-2008 binary16): 1 sign, 5 exponent, 10 fraction bits.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_the_standard_says() {
        let known = [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan() && half(0x8000).is_sign_negative());
    }

    #[test]
    fn kinds_have_one_name_everywhere() {
        for one in Element::ALL {
            assert_eq!(Element::of_dtype(one.dtype()), Some(one));
            assert_eq!(format!("{:?}", one.dtype()).to_lowercase(), one.name());
            assert_eq!(one.dtype().bitsize() as u64, 8 * one.bytes());
        }
        assert_eq!(Element::of_class("torch.cuda.HalfStorage"), Some(Element::F16));
        assert_eq!(Element::of_class("torch.ComplexFloatStorage"), None);
    }
}
