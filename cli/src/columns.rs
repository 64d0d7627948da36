//! Tables for people.

use std::fmt::Write as _;

use crate::tone;

/// Columns as wide as their widest text, whatever its colours; the last one ends
/// where it ends.
pub fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(tone::width(cell));
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut written = String::new();
        for (width, cell) in widths.iter().zip(line) {
            let missing = width.saturating_sub(tone::width(cell));
            let _ = write!(written, "{cell}{:missing$}  ", "");
        }
        let _ = writeln!(text, "{}", written.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_move_nothing() {
        let lines = |state: fn(&str) -> String| {
            let line = |name: &str, word: &str, last: &str| [name.into(), state(word), state(last)];
            [
                line("a", "done", "ok"),
                line("bcd", "x", ""),
                line("", "", ""),
            ]
        };
        let coloured = aligned(&lines(tone::state));
        assert!(coloured.contains("\u{1b}[32mdone\u{1b}[0m"), "{coloured}");
        assert_eq!(tone::plain(&coloured), aligned(&lines(str::to_owned)));
        assert_eq!(tone::plain(&coloured), "a    done  ok\nbcd  x\n\n");
    }
}
