//! Files of safetensors: a header of JSON behind its length, then the tensors.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use safetensors::tensor::Metadata;

use super::elements::Element;
use super::{Listed, Other, Place, failed};

/// Largest header that is read, bytes; those of the largest models have a few.
const LARGEST: u64 = 32 << 20;

/// Whether a file may be one of these, by its first bytes.
pub fn begins(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{')
}

/// The tensors of a file of some length, and those whose elements are not known here. Errors: what is wrong, in words.
pub fn read(file: &mut File, length: u64) -> Result<(Vec<Listed>, Vec<Other>), String> {
    let mut digits = [0; 8];
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut digits)).map_err(failed)?;
    let header = u64::from_le_bytes(digits);
    if header > LARGEST || header + 8 > length {
        return Err(format!("its header is said to have {header} bytes, the file has {length}: it was cut off, or is none of safetensors"));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(failed)?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|why| format!("its header cannot be read ({why})"))?;
    let promised = 8 + header + metadata.data_len() as u64;
    if promised != length {
        return Err(format!("its header promises {promised} bytes, the file has {length}"));
    }
    let (mut tensors, mut others) = (Vec::new(), Vec::new());
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        match Element::of_dtype(info.dtype) {
            Some(element) => {
                let strides = row_major(&info.shape);
                let place = Place { at: 8 + header + info.data_offsets.0 as u64, offset: 0, strides };
                tensors.push(Listed { name, element, shape: info.shape.clone(), place });
            }
            None => others.push(Other { name, what: format!("elements {:?}", info.dtype) }),
        }
    }
    if tensors.is_empty() { Err("it holds no tensor".into()) } else { Ok((tensors, others)) }
}

/// Elements from one place of an axis to the next, the last axis contiguous.
pub fn row_major(shape: &[usize]) -> Vec<u64> {
    let mut strides = vec![1u64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis] as u64);
    }
    strides
}
