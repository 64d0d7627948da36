//! What kubectl asks of `kubectl_complete-mcp` to complete `kubectl mcp …`: the
//! words so far as arguments, the last of them unfinished. The answer is a
//! candidate a line, then `:4`, by which kubectl offers no file names (cobra's
//! ShellCompDirectiveNoFileComp).

use clap::{Arg, Command};

const NO_FILES: &str = ":4\n";

/// The answer.
pub fn complete(mut command: Command, words: &[String]) -> String {
    command.build();
    let (last, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut place = &command;
    let mut is_value = false;
    for word in before {
        if !is_value {
            place = place.find_subcommand(word).unwrap_or(place);
        }
        is_value = !is_value && wants_value(place, word).is_some();
    }
    let asked = before.last().and_then(|flag| wants_value(place, flag));
    let candidates = match asked {
        Some(argument) => values(argument),
        None if last.starts_with('-') => flags(place),
        None => names(place),
    };
    let mut text = String::new();
    for candidate in candidates.iter().filter(|one| one.starts_with(last)) {
        text.push_str(candidate);
        text.push('\n');
    }
    text + NO_FILES
}

/// The argument whose value comes after `flag`.
fn wants_value<'c>(place: &'c Command, flag: &str) -> Option<&'c Arg> {
    let is_it = |argument: &&Arg| {
        let long = argument
            .get_long()
            .is_some_and(|long| format!("--{long}") == flag);
        long || argument
            .get_short()
            .is_some_and(|short| format!("-{short}") == flag)
    };
    place.get_arguments().find(is_it).filter(|argument| {
        argument.get_action().takes_values() && !argument.is_require_equals_set()
    })
}

fn values(argument: &Arg) -> Vec<String> {
    let values = argument.get_possible_values();
    values
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect()
}

fn flags(place: &Command) -> Vec<String> {
    let longs = place.get_arguments().filter_map(Arg::get_long);
    longs.map(|long| format!("--{long}")).collect()
}

/// Subcommands, or the words that an argument without a flag may be.
fn names(place: &Command) -> Vec<String> {
    let commands = place.get_subcommands().filter(|one| !one.is_hide_set());
    let commands = commands.map(|one| one.get_name().to_owned());
    let words = place.get_positionals().flat_map(values);
    commands.chain(words).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn completed(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        let text = complete(Cli::command(), &words);
        let text = text.strip_suffix(NO_FILES).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn commands_flags_and_values_are_completed() {
        for (words, expected) in [
            (&["app"][..], &["approvals", "approve"][..]),
            (&["expl"], &["explain"]),
            (&["key", "r"], &["revoke", "rotate"]),
            (&["approve", "--as"], &["--as", "--as-group"]),
            (&["status", "-o", ""], &["table", "wide", "json", "yaml"]),
            (&["freeze", "-n", "acme", "--access", "f"], &["frozen"]),
            (&["completion", "z"], &["zsh"]),
            (&["-n", "acme", "key", "r"], &["revoke", "rotate"]),
            (&["key", "-n", "acme", "r"], &["revoke", "rotate"]),
            // An organisation may have the name of a command.
            (&["-n", "key", "expl"], &["explain"]),
            (&["--conte"], &["--context"]),
            (&["-n", ""], &[]),
            // A name in the cluster, and what is nothing.
            (&["approve", ""], &[]),
            (&["status", "-n", ""], &[]),
            (&["nonsense", "--nonsense", "x"], &[]),
        ] {
            assert_eq!(completed(words), expected, "{words:?}");
        }
        assert!(completed(&[]).contains(&"onboard".to_owned()));
        assert!(completed(&[""]).contains(&"onboard".to_owned()));
    }
}
