//! `segc explain`: the page of a fault, or the list of all.

use segc_lang::explain;

use crate::cli::Explain;
use crate::console::{self, Exit, paint};

/// Prints the page, or the codes.
pub fn explain(args: &Explain) -> Exit {
    let Some(code) = &args.code else {
        console::out(&list());
        return Exit::Done;
    };
    // Reports show a code as `error[code]`; whoever copies it whole is understood.
    let code = code.trim_start_matches("error[").trim_start_matches("warning[").trim_end_matches(']');
    match explain::explain(code) {
        Some(page) => {
            console::out(&shown(page, console::color_on_stdout()));
            Exit::Done
        }
        None => {
            let advice = explain::advice(code).unwrap_or_else(|| "`segc explain` lists all".into());
            console::error(&format!("no fault is called {code:?}; {advice}"));
            Exit::Usage
        }
    }
}

/// Every code with the first sentence of its page.
fn list() -> String {
    let width = explain::codes().map(str::len).max().unwrap_or(0);
    let first = |code| explain::explain(code).and_then(sentence).unwrap_or_default();
    explain::codes().map(|code| format!("{code:<width$}  {}\n", first(code))).collect()
}

fn sentence(page: &str) -> Option<String> {
    let line = page.lines().find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let end = line.find(": ").or_else(|| line.find(". ")).unwrap_or(line.len());
    Some(line[..end].trim_end_matches('.').to_string())
}

/// A page for a terminal: the title stands out, examples are indented, paragraphs are wrapped.
fn shown(page: &str, color: bool) -> String {
    let mut text = String::new();
    let mut example = false;
    for line in page.lines() {
        if line.starts_with("```") {
            example = !example;
        } else if example {
            text.push_str(&format!("    {line}\n"));
        } else if let Some(title) = line.strip_prefix("# ") {
            text.push_str(&format!("{}\n", paint(title, "1", color)));
        } else {
            text.push_str(&wrapped(line));
        }
    }
    text
}

/// A paragraph in lines of at most 88 columns.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > 88 {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_indented_and_wrapped() {
        let page = format!("# a-code\n\n{}\n\n```seg\nlet x = 1\n```\n", "word ".repeat(40).trim());
        let text = shown(&page, false);
        assert!(text.starts_with("a-code\n\nword word"));
        assert!(text.ends_with("\n    let x = 1\n"));
        assert!(text.lines().all(|line| line.len() <= 88));
    }

    #[test]
    fn the_first_sentence_speaks_for_the_page() {
        assert_eq!(sentence("# x\n\nTwo values meet: neither fits. More."), Some("Two values meet".into()));
    }
}
