//! Tests of the parser.

use super::grammar::{Grammar, Rule};
use super::{parse, words};
use crate::fault::Fault;
use crate::source::Sources;
use crate::syntax::{self, File, ItemKind};
use pest::Parser;

fn parsed(text: &str) -> (Sources, File, Vec<Fault>) {
    let mut sources = Sources::default();
    let id = sources.add("test.seg", text);
    let (file, faults) = parse(&sources, id);
    (sources, file, faults)
}

/// Faults as lines: code, place, message, label, help.
fn report(text: &str) -> String {
    let (sources, _, faults) = parsed(text);
    let mut all = String::new();
    for fault in &faults {
        all += &format!("{}: {}\n", fault.code, fault.message);
        for (span, label) in &fault.labels {
            let (line, column) = sources.line_column(*span);
            all += &format!("  {line}:{column} `{}` {label}\n", sources.slice(*span));
        }
        all += &fault.help.as_ref().map_or(String::new(), |help| format!("  help: {help}\n"));
    }
    all
}

/// All shipped `.seg` files with their texts.
fn shipped() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["specs", "specs/principles", "stdlib"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "seg") {
                files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 20);
    files
}

#[test]
fn all_shipped_files_parse() {
    for (name, text) in shipped() {
        let found = report(&text);
        assert!(found.is_empty(), "{name}\n{found}");
        let (_, file, _) = parsed(&text);
        assert!(!file.items.iter().any(|item| matches!(item.kind(), ItemKind::Broken)));
    }
}

/// Slips and what is said about them.
const SLIPS: [(&str, &str); 34] = [
    ("misspelt_item", "param y = 2\nparm x = 1\nvarient paper {\n    y = 3\n}\nlet z = y\n"),
    ("misspelt_statement", "fn f(x: image) -> image {\n    lett y = x\n    let z = x\n    retrun z\n}\n"),
    ("misspelt_turn", "train t for 10 steps {\n    updat a by b with c\n    ema a decay 0.9\n    evry 3 steps { checkpoint }\n}\n"),
    ("several", "param a = \nlet b = (1 + \nlet c = 3 4\nscene s { layer x = }\nlet d = f(1,,2)\n"),
    ("several_statements", "fn f(x: image) -> image {\n    let a = 1 +\n    let b = * 2\n    let c = 3\n    let = 4\n    return a b\n}\n"),
    ("unclosed_brace", "fn f(x: image) -> image {\n    let a = { b: 1\n    return a\n}\nparam y = 1\n"),
    ("unclosed_block", "scene world {\n    draw z ~ normal\n\nparam y = 1\nlet x = y +\n"),
    ("unclosed_at_end", "let x = f(1, 2\n"),
    ("unclosed_round", "fn f(x: image) -> image {\n    let a = f(x\n    let b = 3\n    return a\n}\nlet y = 1\n"),
    ("crossed", "let x = f([1, 2)\nlet y = 3\n"),
    ("unopened", "let x = 1)\nlet y = 2\n}\nlet z = 3\n"),
    ("open_string", "use \"abc as x\nparam y = 1 \"help\nlet z = f(\"abc)\n"),
    ("no_keyword", "param a = 1\nb = 2\n"),
    ("missing_equals", "param x 1\nlet y: image x\n"),
    ("reserved_name", "let data = 1\nfn f(x: image) = 1\nlet x = data + 1\n"),
    ("space_before_call", "let x = f (1)\nlet y = x [channel: 0]\n"),
    ("chained_comparison", "let x = 0 < y < 1\n"),
    ("double_equals", "param x == 1\nlet y = if a = b then 1 else 2\n"),
    ("no_else", "let x = if a then b\nlet y = 1\n"),
    ("no_return", "fn f(x: image) -> image {\n    let a = 1\n}\n"),
    ("misplaced_layer", "fn f(x: image) -> image {\n    layer a = { image: x }\n    return x\n}\nscene s { weight w = 1 }\n"),
    ("misplaced_action", "train t for 3 steps { checkpoint }\n"),
    ("layer_at_top", "layer a = { image: x }\nlet x = 1\n"),
    ("slot_in_scene", "scene s {\n    front: shift(a)\n    layer b = { image: x }\n}\n"),
    ("broken_slot", "perturb p = s with {\n    draw d ~ uniform(0, 1)\n    front: shift(a,, b)\n    back.image: f(x)\n}\n"),
    ("bad_number", "param x = 10kk\nparam y = .5\nparam z = 5.\n"),
    ("strange_letter", "let größe = 1\nlet x = y × z\n"),
    ("late_head", "let x = 1\n//! late\nlet y = 2\n"),
    ("doc_inside", "let x = 1 +\n/// doc\n2\nlet y = 1\n"),
    ("doc_at_end", "let x = 1\n/// what\n"),
    ("bad_type", "fn f(x: ) -> image = x\nlet y: [height = 1\nlet z: [..] = 3\n"),
    ("labelled_comprehension", "let x = sum(over: k for k in 0..3)\n"),
    ("bad_use", "use std::\nuse \"./a.seg\"\nextend iem.seg\n"),
    ("frozen_misspelt", "frozen modle a = b\nbuiltin fun f()\n"),
];

#[test]
fn slips_are_explained() {
    let mut all = String::new();
    for (name, text) in SLIPS {
        let found = report(text);
        assert!(!found.is_empty(), "{name}");
        all += &format!("== {name}\n{text}--\n{found}\n");
    }
    insta::assert_snapshot!(all);
}

/// Small inputs, one per trap or form.
const FORMS: [&str; 12] = [
    "let x = -a^2 + b * (c - 1) / 2 steps |> f(y, to: 3) |> g",
    "let y = if a == b and not c then d[0] else e[channel: 0..3, token -> key, (height, width) -> token]",
    "let d[i in 1..n]: [channel, height: 2 * height, ..rest] = down[i](x.data.train, with: reflect)",
    "let s = sum(a * b for [i, a] in xs for j in -1..2)",
    "draw z, w[k in 0..n] ~ normal[feature: 64] per step",
    "output masks = found over images.test",
    "net spectral(eps: real = 1e-12)(w: [out, ..rest]) -> { score: real, features: list }",
    "param follow: paper | code = code in 0..1 \"help\"",
    "use std::gan, std::mask as m, \"./mine.seg\" as mine",
    "extend \"../perturbgan.seg\" with shifted = scaled, a = 3",
    "model mae = vit::autoencoder(size: body) from mae_file\n    names vit::mae_names",
    "train t[r in xs] after own with side = r for 1.2M samples, batch 3, fresh a, b, batch 4 {\n\
     every 8 steps { update a by b with c but d on e.f }\nevery 1k steps { show 16 of world, shifted   checkpoint }\n}",
];

#[test]
fn forms_have_these_trees() {
    let mut all = String::new();
    for text in FORMS {
        let (_, file, faults) = parsed(text);
        assert!(faults.is_empty(), "{text}\n{}", report(text));
        assert_eq!(file.items.len(), 1);
        all += &format!("{text}\n{}\n\n", brief(&format!("{:?}", file.items[0].kind())));
    }
    insta::assert_snapshot!(all);
}

/// A tree without its places.
fn brief(tree: &str) -> String {
    let mut text = tree.to_owned();
    while let Some(start) = text.find(", span: ") {
        let end = start + text[start..].find(" }").unwrap();
        text.replace_range(start..end, "");
    }
    text
}

#[test]
fn words_of_today_stay_names() {
    // Fields and labels may be any word; `output`, `sample`, `step`, `show`, `batch` and literals are ordinary names.
    let text = "let a = photos.train.data\nlet b = f(with: c, data: 1)\npart_of = 3";
    assert_eq!(parsed(text).2.len(), 1);
    let text = "let output = 1\nlet step = output + none\nlet batch = infinity * training\nlet x = output[3](true)\nlet show = step";
    assert!(report(text).is_empty(), "{}", report(text));
}

#[test]
fn minus_and_units_bind_as_recorded() {
    let tree = |text: &str| brief(&format!("{:?}", parsed(text).1.items[0].kind()));
    assert_ne!(tree("let x = a / b steps"), tree("let x = (a / b) steps"));
    assert_eq!(parsed("let x = a\n    - b").1.items.len(), 1);
    assert!(report("fn f(x: image)\n    -> image = x").is_empty());
}

#[test]
fn bad_input_is_refused_quickly() {
    let start = std::time::Instant::now();
    for open in ["(", "[", "{", "f(", "x[", "{a: ", "if (", "x[(", "[a, ("] {
        let codes: Vec<&str> = parsed(&format!("let x = {}", open.repeat(10_000))).2.iter().map(|f| f.code).collect();
        assert_eq!(codes, ["too-deep"], "{open}");
        for deep in [20, pieces_deep()] {
            let text = format!("let x = {}+", open.repeat(deep));
            assert!(!parsed(&text).2.is_empty());
        }
    }
    for chain in ["1 + ", "-", "a ^ ", "if a then b else ", "not ", "a.b.c |> "] {
        let text = format!("let x = {}1", chain.repeat(10_000));
        assert!(!parsed(&text).2.is_empty(), "{chain}");
    }
    assert_eq!(parsed(&format!("let x = f{}", "(1)".repeat(10_000))).2[0].code, "too-deep");
    assert_eq!(parsed(&"let x = 1\n".repeat(1_000_000)).2[0].code, "too-large");
    for text in [") ".repeat(300_000), "} \n".repeat(300_000), "\"\n".repeat(400_000), "a b\n".repeat(200_000)] {
        assert!(!parsed(&text).2.is_empty());
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

fn pieces_deep() -> usize {
    super::pieces::DEEPEST / 2
}

#[test]
fn brackets_as_deep_as_allowed_parse() {
    for (open, close) in [("(", ")"), ("[", "]"), ("f(", ")"), ("{ a: ", " }"), ("x[", "]"), ("if (", ") then 1 else 2")] {
        let depth = super::pieces::DEEPEST;
        let text = format!("let x = {}1{}", open.repeat(depth), close.repeat(depth));
        let found = report(&text);
        assert!(found.is_empty(), "{open} {found}");
    }
}

#[test]
fn no_cut_of_a_spec_breaks_the_parser() {
    let (_, text) = shipped().into_iter().find(|(name, _)| name.ends_with("iem.seg")).unwrap();
    for end in (0..text.len()).step_by(7).filter(|&end| text.is_char_boundary(end)) {
        parsed(&text[..end]);
        parsed(&text[end..]);
    }
}

#[test]
fn the_grammar_knows_the_reserved_words() {
    let name = |text: &str| Grammar::parse(Rule::ident, text).is_ok_and(|found| found.as_str() == text);
    let words = words::ITEMS.iter().chain(&words::STATEMENTS).chain(&words::INNER).filter(|word| **word != "output");
    for word in words {
        assert!(!name(word), "{word}");
        assert!(name(&format!("{word}s_")) && name(&format!("_{word}")) && name(&word[..1]), "{word}");
    }
}

#[test]
fn a_long_text_is_parsed_as_its_parts_are() {
    let line = |k: usize| format!("let a{k} = {k} + b({k})\n");
    let text: String = (0..400).map(line).collect();
    let (sources, file, faults) = parsed(&text);
    assert!(faults.is_empty() && file.items.len() == 400);
    for (k, item) in file.items.iter().enumerate() {
        assert_eq!(sources.slice(item.span), line(k).trim_end());
        assert!(matches!(item.kind(), ItemKind::Let(own) if own.binder.name.text == format!("a{k}")));
    }
}

#[test]
fn what_is_parsed_later_is_the_same() {
    let mut later = 0;
    for (name, text) in crate::library::MODULES {
        let mut sources = Sources::default();
        let id = sources.add(*name, *text);
        let (whole, faults) = parse(&sources, id);
        assert!(faults.is_empty(), "{name}");
        let announced = super::parse_library(&sources, id);
        assert_eq!(whole.items.len(), announced.items.len(), "{name}");
        for (one, other) in whole.items.iter().zip(&announced.items) {
            assert_eq!((one.span, &one.docs), (other.span, &other.docs), "{name}");
            assert_eq!(format!("{:?}", one.kind()), format!("{:?}", other.kind()), "{name}");
            if let Some(announced) = other.announced() {
                let (ItemKind::Fn(syntax::Fn { name, .. }) | ItemKind::Net(syntax::Net { name, .. })) = one.kind() else {
                    panic!("{announced:?}")
                };
                assert_eq!(name, announced);
                later += 1;
            }
        }
    }
    assert!(later > 200, "{later}");
}
