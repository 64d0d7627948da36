//! How good a state is, in colour. Every table is made with its colours, and who
//! prints it takes them out where nobody would see them.

use std::ffi::OsString;

use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

const GOOD: Style = AnsiColor::Green.on_default();
const WAITS: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// When states are in colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Into files and pipes as well
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Whether they are, in this environment.
    pub fn is_wanted(self, is_terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                // An empty one counts as none (no-color.org).
                let is_unwanted = env("NO_COLOR").is_some_and(|set| !set.is_empty());
                is_terminal && !is_unwanted && env("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// A state in the colour of its first word, if that is one of those below.
pub fn state(text: &str) -> String {
    let word = text.split([' ', ',', ':']).next().unwrap_or_default();
    let style = match word.replace('_', "").to_ascii_lowercase().as_str() {
        "allow" | "applied" | "done" | "good" | "ok" | "permitted" | "true" => GOOD,
        "ask" | "executing" | "inprogress" | "pending" | "pendingapproval" | "reserved"
        | "sending" | "settling" | "unknown" => WAITS,
        "denied" | "deny" | "differs" | "expired" | "failed" | "false" | "needshuman"
        | "notapplied" | "refused" | "revoked" => BAD,
        _ => return text.to_owned(),
    };
    painted(style, text)
}

/// Something that stops work.
pub fn stops(text: &str) -> String {
    painted(BAD, text)
}

/// Something that waits for others.
pub fn waits(text: &str) -> String {
    painted(WAITS, text)
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The same text without its colours.
pub fn plain(text: &str) -> String {
    strip_str(text).to_string()
}

/// How many characters of it are seen.
pub fn width(text: &str) -> usize {
    strip_str(text).map(|part| part.chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_who_sees_them() {
        let wanted = |color: Color, is_terminal: bool, set: &[(&str, &str)]| {
            color.is_wanted(is_terminal, |name| {
                let mut set = set.iter();
                set.find(|(known, _)| *known == name)
                    .map(|(_, value)| value.into())
            })
        };
        let term = ("TERM", "xterm-256color");
        assert!(wanted(Color::Auto, true, &[]));
        assert!(wanted(Color::Auto, true, &[term, ("NO_COLOR", "")]));
        for set in [("NO_COLOR", "1"), ("NO_COLOR", "0"), ("TERM", "dumb")] {
            assert!(!wanted(Color::Auto, true, &[set]), "{set:?}");
            assert!(wanted(Color::Always, true, &[set]), "{set:?}");
        }
        assert!(!wanted(Color::Auto, false, &[term]));
        assert!(wanted(Color::Always, false, &[]));
        assert!(!wanted(Color::Never, true, &[term]));
    }

    #[test]
    fn a_state_has_the_colour_of_its_first_word() {
        for (text, colour) in [
            ("Applied", "32"),
            ("good, expires in 9d", "32"),
            ("pending_approval (ApprovalRequired)", "33"),
            ("NeedsHuman", "31"),
            ("needs_human", "31"),
            ("not_applied", "31"),
        ] {
            assert_eq!(state(text), format!("\u{1b}[{colour}m{text}\u{1b}[0m"));
            assert_eq!(plain(&state(text)), text);
            assert_eq!(width(&state(text)), text.len());
        }
        for text in ["Withdrawn", "unchanged", "a word of a later release", ""] {
            assert_eq!(state(text), text);
        }
    }
}
