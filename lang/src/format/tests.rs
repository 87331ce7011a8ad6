//! Tests of the formatter.

use super::format;
use crate::parse::parse;
use crate::source::Sources;

/// The tree without places.
fn tree(text: &str) -> String {
    let mut sources = Sources::default();
    let id = sources.add("a.seg", text);
    let (file, faults) = parse(&sources, id);
    assert!(faults.is_empty(), "{faults:?}\n{text}");
    let all = format!("{:?}{:?}{:?}", file.head, file.edition.map(|e| e.0), file.items);
    // Places look like `0:12..34`.
    let mut out = String::new();
    let mut rest = all.as_str();
    while let Some(at) = rest.find("span: 0:") {
        out += &rest[..at];
        rest = rest[at + 8..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    out + rest
}

fn shipped() -> Vec<(std::path::PathBuf, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["specs", "specs/principles", "stdlib"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "seg") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 20);
    files
}

#[test]
fn shipped_files_keep_their_meaning_and_format_once() {
    for (path, text) in shipped() {
        let once = format(&text).unwrap();
        assert_eq!(tree(&text), tree(&once), "{}", path.display());
        assert_eq!(once, format(&once).unwrap(), "{}", path.display());
        assert_eq!(text, once, "{} is not formatted: run `segc fmt`", path.display());
    }
}

#[test]
fn texts_without_any_layout_keep_their_meaning() {
    for (path, text) in shipped() {
        // Every run of spaces becomes one, every indent goes.
        let flat: String = text
            .lines()
            .map(|line| {
                if line.contains('"') || line.contains("//") {
                    line.to_owned()
                } else {
                    line.split_whitespace().collect::<Vec<_>>().join(" ")
                }
            })
            .map(|line| line.trim().to_owned() + "\r\n\n\n")
            .collect();
        let once = format(&flat).unwrap();
        assert_eq!(tree(&flat), tree(&once), "{}", path.display());
        assert_eq!(once, format(&once).unwrap(), "{}", path.display());
    }
}

#[test]
fn the_style() {
    let text = "//! Head\n\n\n\nuse   std::mask ,std::nn\nparam a:int=1 \"one\"\nparam longer  = 2*(3-1)   \"two\" // why\n\
        param c : x|y = x\nfn f (x:image,k : int=3)->image{\nlet a=-x^2+b*( c-1 )/2 // first\nlet lonely= [1,2 , 3][0..2] // second\n\
        /// doc\nlet d = f(a,\nb,\n[\n1,\n2\n])\n// a remark\nreturn a\n+ b\n- c }\n\
        train t for 1k steps,batch 3{ update a by b with c(-1)\nevery 2 steps{show 1/2 of a checkpoint} }\n\
        perturb p=s with{front:shift(a,down:9 / 8)\nback.image: x\n|> y}\n\
        variant v=w{a=1,longer = 2}reported{test.iou:0.5,areas:1e-3}\nlet r={a:1,b:{}}\nlet x = photos.train.data";
    insta::assert_snapshot!(format(text).unwrap());
}

#[test]
fn a_text_that_does_not_parse_is_left_alone() {
    assert_eq!(format("let x = ").unwrap_err()[0].code, "syntax");
    assert_eq!(format("").unwrap(), "");
    assert_eq!(format("// only\n\n\n// remarks").unwrap(), "// only\n\n// remarks\n");
}
