//! Other people's words in a chat: whoever names a campaign, an agent or a rule
//! makes no link there, calls nobody and formats nothing. Pure.
//!
//! Slack has `&`, `<` and `>` for control characters, which are written as
//! entities (<https://docs.slack.dev/messaging/formatting-message-text>); what we
//! send it is plain text, in which nothing else means anything. Receivers that
//! take the same body read `text` as Markdown (Mattermost, Rocket.Chat), so the
//! characters that format are replaced by others that look the same.

use tenantry_core::text::presentable;

/// By how much a text may grow: each `&` becomes five characters.
pub const GROWTH: usize = 5;

/// At most `longest` characters of `text`, as they may stand in a chat; up to
/// [`GROWTH`] times as many are sent for them.
pub fn quoted(text: &str, longest: usize) -> String {
    let shown: Vec<char> = presentable(text, longest).chars().collect();
    let mut quoted = String::with_capacity(shown.len());
    for (at, one) in shown.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| shown.get(at));
        let rest = shown.get(at + 1..).unwrap_or_default();
        match one {
            '&' => quoted.push_str("&amp;"),
            '<' => quoted.push_str("&lt;"),
            '>' => quoted.push_str("&gt;"),
            other => quoted.push(harmless(*other, before.copied(), rest)),
        }
    }
    quoted
}

/// A character, or one that looks the same and means nothing, by what stands
/// around it.
fn harmless(one: char, before: Option<char>, rest: &[char]) -> char {
    let is_word = |one: Option<char>| one.is_some_and(char::is_alphanumeric);
    let is_within = is_word(before) && is_word(rest.first().copied());
    match one {
        '*' => '\u{2217}',
        '~' => '\u{223c}',
        '`' => '\'',
        '[' => '\u{ff3b}',
        ']' => '\u{ff3d}',
        // In the middle of a word, as in `meta_set_budget` and in addresses of
        // mail, they mean nothing.
        '_' if !is_within => '\u{ff3f}',
        '@' if !is_within => '\u{ff20}',
        ':' if rest.starts_with(&['/', '/']) => '\u{2236}',
        // Whatever it ends: `www` is what counts.
        '.' if matches!(before, Some('w' | 'W')) => '\u{2024}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tenantry_core::text::is_deceptive;

    use super::*;

    #[test]
    fn what_people_and_vendors_usually_write_stays_as_it_is() {
        for text in [
            "ad set 120010010042, daily_budget 30.50 EUR to 40.00 EUR",
            "meta_set_budget",
            "ann@acme.example",
            "Frühling – 50 % Rabatt!",
            "夜市: 8pm",
            "kubectl mcp show 5c1f0a2be9d4 -n acme",
        ] {
            assert_eq!(quoted(text, 100), text);
        }
    }

    #[test]
    fn what_would_mean_something_means_nothing() {
        for (text, told) in [
            ("<!channel>", "&lt;!channel&gt;"),
            (
                "<https://evil.example|pay here>",
                "&lt;https∶//evil.example|pay here&gt;",
            ),
            ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
            ("@channel and @all", "＠channel and ＠all"),
            ("*bold* _it_ ~no~ `code`", "∗bold∗ ＿it＿ ∼no∼ 'code'"),
            (
                "![x](http://evil.example/x.png)",
                "!［x］(http∶//evil.example/x.png)",
            ),
            ("www.evil.example", "www․evil.example"),
            ("a\nb\u{202e}c", r"a\u{a}b\u{202e}c"),
        ] {
            assert_eq!(quoted(text, 100), told);
        }
        assert_eq!(quoted(&"&".repeat(9), 4), "&amp;&amp;&amp;…");
    }

    /// What a chat could take for more than text.
    fn markup(text: &str) -> Option<String> {
        let bare = ["&amp;", "&lt;", "&gt;"]
            .iter()
            .fold(text.to_owned(), |text, entity| text.replace(entity, "."));
        let all: Vec<char> = bare.chars().collect();
        let is_word = |at: Option<usize>| {
            let one = at.and_then(|at| all.get(at));
            one.is_some_and(|one| one.is_alphanumeric())
        };
        let odd = all.iter().enumerate().find(|(at, one)| match one {
            '&' | '<' | '>' | '*' | '~' | '`' | '[' | ']' => true,
            '@' | '_' => !(is_word(at.checked_sub(1)) && is_word(at.checked_add(1))),
            other => is_deceptive(**other),
        });
        let links = ["://", "www."];
        let link = links
            .iter()
            .find(|link| bare.to_lowercase().contains(**link));
        odd.map(|(_, one)| one.to_string())
            .or(link.map(ToString::to_string))
    }

    proptest! {
        #[test]
        fn no_hostile_text_becomes_markup(
            text in "([<>&*_~`@:/|!#.w\\[\\]]|www\\.|<!here>|https://|&lt;|[a-z é\u{202e}\n]){0,60}",
            longest in 1_usize..80,
        ) {
            let told = quoted(&text, longest);
            prop_assert_eq!(markup(&told), None, "{:?}", told);
            prop_assert!(told.chars().count() <= GROWTH * longest);
        }

        #[test]
        fn no_text_at_all_becomes_markup(text in any::<String>()) {
            let told = quoted(&text, 200);
            prop_assert_eq!(markup(&told), None, "{:?}", told);
        }
    }
}
