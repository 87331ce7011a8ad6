//! Files that PyTorch and safetensors wrote (`tests/weights/README.md`), hostile ones, and damaged ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::pickle::{self, Trouble};
use super::*;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(name)
}

fn opened(name: &str) -> Weights {
    Weights::open(&sample(name)).unwrap_or_else(|why| panic!("{name} {why}"))
}

fn shown(weights: &Weights) -> Vec<String> {
    weights.tensors.iter().map(|one| format!("{} {} {:?}", one.name, one.element.name(), one.shape)).collect()
}

fn reals(weights: &Weights, name: &str) -> Vec<f32> {
    let tensor = weights.tensors.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("no {name}"));
    tensor.element.reals(&weights.bytes(tensor).unwrap()).unwrap()
}

/// A file with some bytes and what is said of it.
fn said(bytes: &[u8]) -> Result<Weights, String> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("some.pth");
    std::fs::write(&path, bytes).unwrap();
    Weights::open(&path)
}

#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let began = Instant::now();
    let why = said(bytes).map(|weights| shown(&weights)).expect_err("it was taken");
    assert!(why.contains(words), "{words:?} is not in {why:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

const STATE: [&str; 14] = [
    "plain f32 [2, 3, 4]",
    "first f32 [2, 3]",
    "turned f32 [4, 3]",
    "strided f32 [4]",
    "spread f32 [2, 3]",
    "half f16 [4]",
    "brain bf16 [3]",
    "double f64 [2]",
    "scalar f32 []",
    "none f32 [0, 3]",
    "norm.num_batches_tracked i64 []",
    "small i8 [2]",
    "flags bool [2]",
    "parameter f32 [2]",
];

#[test]
fn every_container_holds_the_same_tensors() {
    let files = ["state.pth", "state_legacy.pth", "state_protocol4.pth", "state.safetensors"];
    for (name, format) in files.iter().zip([Format::Zip, Format::Legacy, Format::Legacy, Format::Safetensors]) {
        let weights = opened(name);
        assert_eq!(weights.format, format);
        let (mut found, mut due) = (shown(&weights), STATE.map(String::from).to_vec());
        if format == Format::Safetensors {
            found.sort();
            due.sort();
        }
        assert_eq!(found, due, "{name}");
        let quarters = |numbers: &[u8]| numbers.iter().map(|number| f32::from(*number) / 4.0).collect::<Vec<_>>();
        assert_eq!(reals(&weights, "plain"), (0..24u8).map(|n| f32::from(n) / 8.0 - 1.0).collect::<Vec<_>>(), "{name}");
        assert_eq!(reals(&weights, "first"), quarters(&[0, 1, 2, 3, 4, 5]));
        assert_eq!(reals(&weights, "turned"), quarters(&[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]));
        assert_eq!(reals(&weights, "strided"), quarters(&[1, 4, 7, 10]));
        assert_eq!(reals(&weights, "spread"), [1.5, 1.5, 1.5, 2.5, 2.5, 2.5]);
        assert_eq!(reals(&weights, "half"), [0.099_975_586, -65504.0, 5.960_464_5e-8, 1.0]);
        assert_eq!(reals(&weights, "brain"), [0.100_097_656, -3.004_055_3e38, 9.984_021e-31]);
        assert_eq!(reals(&weights, "double"), [0.1, -2.0]);
        assert_eq!((reals(&weights, "scalar"), reals(&weights, "none")), (vec![7.5], vec![]));
        assert_eq!(reals(&weights, "parameter"), [1.0, 2.0]);
        assert!(weights.others.is_empty());
    }
}

#[test]
fn nested_files_have_dotted_names_and_objects_are_passed_over() {
    for name in ["nested.pth", "nested_legacy.pth"] {
        let weights = opened(name);
        let due = [
            "model.module.plain f32 [2, 3, 4]",
            "model.module.first f32 [2, 3]",
            "model.module.turned f32 [4, 3]",
            "optimizer.state.0.exp_avg f32 [2]",
            "pair.0 f32 [1]",
            "pair.1.0 f32 [2]",
        ];
        assert_eq!(shown(&weights), due, "{name}");
        assert_eq!(weights.others, [Other { name: "args".into(), what: "argparse.Namespace".into() }]);
        assert_eq!(reals(&weights, "model.module.turned")[1], 1.0);
    }
}

#[test]
fn safetensors_come_out_of_every_file() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out.safetensors");
    for name in ["state.pth", "state_legacy.pth", "state.safetensors"] {
        let written = convert(&sample(name), &out, None, true).unwrap();
        assert_eq!((written.tensors, written.left_out), (14, 0));
        let (old, new) = (opened(name), Weights::open(&out).unwrap());
        let content = |weights: &Weights| -> BTreeMap<String, Vec<u8>> {
            weights.tensors.iter().map(|one| (format!("{} {:?}", one.name, one.element), weights.bytes(one).unwrap())).collect()
        };
        assert_eq!(content(&old), content(&new), "{name}");
        let whole = std::fs::read(&out).unwrap();
        assert_eq!(safetensors::SafeTensors::deserialize(&whole).unwrap().len(), 14);
        assert!(matches!(convert(&sample(name), &out, None, false), Err(RunError::Usage(_))));
    }
    let below = convert(&sample("nested.pth"), &out, Some("model.module"), true).unwrap();
    assert_eq!((below.tensors, below.left_out), (3, 1));
    assert_eq!(Weights::open(&out).unwrap().tensors.iter().filter(|one| one.name == "plain").count(), 1);
    assert!(matches!(convert(&sample("nested.pth"), &out, Some("modle"), true), Err(RunError::Usage(_))));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["out.safetensors"]);
}

/// A file of the container before 1.6 around a pickle.
fn legacy(object: &[u8]) -> Vec<u8> {
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    [head, object, b"\x80\x02]."].concat()
}

/// A zip archive of plain files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(*name, plain).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_reaches_the_system_is_refused_and_not_executed() {
    let home = tempfile::tempdir().unwrap();
    let mark = home.path().join("mark");
    let command = format!("touch {}", mark.display());
    let text = |text: &str| [b"X".to_vec(), (text.len() as u32).to_le_bytes().to_vec(), text.as_bytes().to_vec()].concat();
    let command = text(&command);
    let hostile: Vec<Vec<u8>> = vec![
        [b"\x80\x02cposix\nsystem\n".as_slice(), &command, b"\x85R."].concat(),
        [b"\x80\x02cos\nsystem\n".as_slice(), &command, b"\x85R0}."].concat(),
        [b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93".as_slice(), &text("1"), b"\x85R."].concat(),
        [b"\x80\x02c__builtin__\nexec\n".as_slice(), &text("1"), b"\x85R."].concat(),
        [b"\x80\x02cbuiltins\ngetattr\n".as_slice(), &text("1"), &text("2"), b"\x86R."].concat(),
        [b"(".as_slice(), &command, b"ios\nsystem\n."].concat(),
        [b"(cnt\nsystem\n".as_slice(), &command, b"o."].concat(),
        [b"\x80\x02csubprocess\nPopen\n".as_slice(), &command, b"\x85\x81."].concat(),
        [b"\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93".as_slice(), &command, b"\x85}\x92."].concat(),
        [b"\x80\x02}q\0cimportlib\nimport_module\n".as_slice(), &text("os"), b"\x85Rb."].concat(),
    ];
    for object in &hostile {
        assert!(matches!(pickle::run(object), Err(Trouble::Refused(why)) if why.contains("run code")), "{object:?}");
        refused(&legacy(object), "nothing was executed");
        refused(&archive(&[("a/data.pkl", object), ("a/version", b"3\n")]), "nothing was executed");
    }
    assert!(!mark.exists());
}

#[test]
fn objects_that_nobody_knows_are_named() {
    refused(&legacy(b"\x80\x02cmynet\nNet\n)\x81}b."), "an object of `mynet.Net`");
    refused(&legacy(b"\x80\x02cmynet\nNet\n)R."), "torch.save(model.state_dict()");
    refused(&legacy(b"\x80\x02}X\x01\0\0\0acmynet\nload\n)Rs."), "no tensor");
    refused(&legacy(b"\x80\x02\x82\x01."), "not in the file");
    refused(&legacy(b"\x80\x02U\x01aQ."), "neither a storage nor a class");
}

/// A state dict with one tensor `a` over a storage of floats.
fn one_tensor(elements: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let storage = [b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu".as_slice(), elements, b"tQ"].concat();
    [b"\x80\x02}U\x01actorch._utils\n_rebuild_tensor_v2\n(".as_slice(), &storage, b"K\0", shape, strides, b"\x89}tRs."].concat()
}

fn zipped(object: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", object), ("a/data/0", &[0; 16])])
}

#[test]
fn what_promises_more_than_it_holds_is_refused() {
    assert_eq!(shown(&said(&zipped(&one_tensor(b"K\x04", b"K\x02K\x02\x86", b"K\x02K\x01\x86"))).unwrap()), ["a f32 [2, 2]"]);
    let huge = b"\x8a\x08\0\0\0\0\0\0\0\x10".as_slice();
    refused(&zipped(&one_tensor(huge, b"K\x04\x85", b"K\x01\x85")), "has 16 bytes and is said to have");
    refused(&zipped(&one_tensor(b"K\x05", b"K\x04\x85", b"K\x01\x85")), "is said to have 20");
    refused(&zipped(&one_tensor(b"K\x04", b"K\x05\x85", b"K\x01\x85")), "reaches beyond");
    refused(&zipped(&one_tensor(b"K\x04", b"K\x02\x85", b"K\x04\x85")), "reaches beyond");
    refused(&zipped(&one_tensor(b"K\x04", &[huge, huge, b"\x86"].concat(), b"K\0K\0\x86")), "reaches beyond");
    refused(&zipped(&one_tensor(b"K\x04", b"J\xff\xff\xff\xff\x85", b"K\x01\x85")), "no lists of numbers");
    refused(&archive(&[("a/data.pkl", &one_tensor(b"K\x04", b"K\x04\x85", b"K\x01\x85"))]), "does not have");
    for long in [b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(), b"X\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"T\xff\xff\xff\xff"] {
        refused(&archive(&[("a/data.pkl", long)]), "cut off");
    }
    // A view that repeats one element is sound, and nobody writes it out.
    let bytes = zipped(&one_tensor(b"K\x04", &[b"\x8a\x06\0\0\0\0\0\x01".as_slice(), b"\x85"].concat(), b"K\0\x85"));
    let home = tempfile::tempdir().unwrap();
    let (input, output) = (home.path().join("a.pth"), home.path().join("b.safetensors"));
    std::fs::write(&input, bytes).unwrap();
    assert!(matches!(convert(&input, &output, None, false), Err(RunError::Data(why)) if why.contains("views")));
    assert!(!output.exists());
}

#[test]
fn depth_memos_and_circles_have_bounds() {
    let deep = [b"\x80\x02".to_vec(), b"]".repeat(200_000), b"a".repeat(199_999), b".".to_vec()].concat();
    refused(&legacy(&deep), "deeper");
    let mut laughs = b"\x80\x02]q\0".to_vec();
    for level in 0..30u8 {
        laughs.extend([b']', b'q', level + 1, b'h', level, b'a', b'h', level, b'a', b'h', level, b'a']);
    }
    laughs.push(b'.');
    refused(&legacy(&laughs), "deeper");
    refused(&legacy(b"\x80\x02]q\0h\0a."), "circle");
    refused(&legacy(&[b"\x80\x02".to_vec(), b"N".repeat(5 << 20), b".".to_vec()].concat()), "more values");
    refused(&legacy(&[b"\x80\x02N".to_vec(), b"2".repeat(5 << 20), b".".to_vec()].concat()), "more steps");
    let names =
        [b"\x80\x02X\xff\xff\0\0".to_vec(), vec![b'a'; 0xffff], b"q\0".to_vec(), b"h\0h\0\x93".repeat(100_000), b".".to_vec()].concat();
    refused(&legacy(&names), "more steps");
    refused(&legacy(b"\x80\x02h\x07."), "never wrote");
    for empty in [b"\x80\x020.".as_slice(), b"\x80\x02R.", b"\x80\x02t.", b"\x80\x02(R.", b"\x80\x02.", b"\x80\x02K\x01K\x02s."] {
        assert!(said(&legacy(empty)).is_err(), "{empty:?}");
    }
}

#[test]
fn other_files_are_told_apart() {
    refused(b"", "empty");
    refused(b"\x80\x02}.", "a pickle of something else");
    refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS");
    refused(b"\n<!DOCTYPE html><html>", "a web page");
    refused(b"\x89HDF\r\n\x1a\n", "HDF5");
    refused(&[7; 100], "of an unknown kind");
    refused(&archive(&[("a.txt", b"text")]), "without `data.pkl`");
    refused(&archive(&[("a/data.pkl", b"}."), ("b/data.pkl", b"}.")]), "several");
    refused(&archive(&[("../data.pkl", b"}.")]), "leads out");
    refused(&archive(&[("a/data.pkl", b"}."), ("a/constants.pkl", b"}.")]), "TorchScript");
    refused(&archive(&[("a/data.pkl", b"}."), ("a/byteorder", b"big")]), "highest byte first");
    refused(&legacy(b"").as_slice()[..14], "cut off");
    let big = legacy(b"}.");
    let at = big.iter().position(|byte| *byte == 0x88).unwrap();
    refused(&[&big[..at], b"\x89", &big[at + 1..]].concat(), "highest byte first");
    // The method of compression stands in both headers of a file.
    let mut packed = archive(&[("a/data.pkl", b"}.")]);
    let central = packed.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    (packed[8], packed[central + 10]) = (8, 8);
    refused(&packed, "");
    let missing = Weights::open(&sample("stat.pth")).unwrap_err();
    assert!(missing.contains("does not exist; did you mean") && missing.contains("state.pth"), "{missing}");
    assert!(Weights::open(&sample("")).unwrap_err().contains("is a folder"));
    assert!(Weights::open(&sample("nowhere/a.pth")).unwrap_err().contains("neither does the folder"));
}

/// Flipped bits and cut ends: an error or tensors that can be read, and no more memory than the file explains.
#[test]
fn damaged_files_are_met() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("damaged.pth");
    let look = |bytes: &[u8], name: &str, at: usize| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(weights) = Weights::open(&path) {
            for tensor in weights.tensors.iter().filter(|one| one.bytes() < 1 << 20) {
                let read = weights.bytes(tensor).unwrap_or_else(|why| panic!("{name} at {at}: {} {why}", tensor.name));
                assert_eq!(read.len() as u64, tensor.bytes());
            }
        }
    };
    let began = Instant::now();
    for name in ["state.pth", "state_legacy.pth", "state_protocol4.pth", "state.safetensors", "nested.pth", "nested_legacy.pth"] {
        let good = std::fs::read(sample(name)).unwrap();
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= [1, 0x80, 0xff][at / 3 % 3];
            look(&bad, name, at);
            if at % 5 == 0 {
                look(&good[..at], name, at);
            }
        }
    }
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}
