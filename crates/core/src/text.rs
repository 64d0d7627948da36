//! Foreign text, made fit to be shown: names and messages that other people
//! wrote at a vendor reach agents, terminals and browsers. What cannot be seen,
//! or changes how the rest is seen, is written out (`\u{202e}`); what is too
//! long is cut. Escaping for HTML or a chat is the business of that sink.

/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// A text in which every character can be seen for what it is, of at most
/// `longest` characters.
pub fn presentable(text: &str, longest: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * longest));
    let mut length = 0;
    // Looked ahead by one, so that a text that just fits is not cut.
    let mut pieces = text.chars().peekable();
    while let Some(one) = pieces.next() {
        let room = longest.saturating_sub(length + usize::from(pieces.peek().is_some()));
        if is_deceptive(one) {
            let written: String = one.escape_unicode().collect();
            // The escape is ASCII: bytes are characters.
            if written.len() > room {
                shown.push(CUT);
                break;
            }
            length += written.len();
            shown.push_str(&written);
        } else if room == 0 {
            shown.push(CUT);
            break;
        } else {
            length += 1;
            shown.push(one);
        }
    }
    shown
}

/// Whether a character is invisible, changes the direction or the meaning of
/// its neighbours, or means nothing: controls, line separators, bidirectional
/// and other format characters, zero-width ones, fillers, tags, selectors of
/// variants (but for the one that makes a sign an emoji), private use.
pub fn is_deceptive(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
        || u32::from(one) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "",
            "Frühling – 50 % Rabatt!",
            "夜市 | TW",
            "שלום",
            "❤️ sale",
            "a\\b \"c\" <d> 'e'",
            "=SUM(A1)",
        ] {
            assert_eq!(presentable(text, 100), text);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        for (text, shown) in [
            ("a\nb\u{1b}[31m", r"a\u{a}b\u{1b}[31m"),
            ("gpj\u{202e}exe", r"gpj\u{202e}exe"),
            ("pay\u{200b}pal", r"pay\u{200b}pal"),
            ("x\u{e0041}\u{e0001}", r"x\u{e0041}\u{e0001}"),
            ("\u{feff}\u{fe01}\u{e0100}", r"\u{feff}\u{fe01}\u{e0100}"),
            ("\u{2066}\u{85}\u{7f}\0", r"\u{2066}\u{85}\u{7f}\u{0}"),
        ] {
            assert_eq!(presentable(text, 100), shown);
        }
    }

    #[test]
    fn a_text_is_cut_where_it_is_too_long_and_only_there() {
        assert_eq!(presentable("abcd", 4), "abcd");
        assert_eq!(presentable("abcde", 4), "abc…");
        assert_eq!(presentable("ab\u{200b}", 4), "ab…");
        assert_eq!(presentable("\u{200b}", 8), r"\u{200b}");
        assert_eq!(presentable("\u{200b}", 7), "…");
    }

    proptest! {
        #[test]
        fn no_deceptive_character_comes_through(text in any::<String>(), longest in 1_usize..64) {
            let shown = presentable(&text, longest);
            prop_assert!(!shown.chars().any(is_deceptive), "{:?}", shown);
            prop_assert!(shown.chars().count() <= longest);
            prop_assert_eq!(presentable(&shown, longest), shown);
        }

        #[test]
        fn every_deceptive_character_is_caught_in_any_company(
            before in "[a-z \\\\]{0,9}", odd in any::<char>().prop_filter("deceptive", |one| is_deceptive(*one)), after in ".{0,9}"
        ) {
            let shown = presentable(&format!("{before}{odd}{after}"), 400);
            let written = odd.escape_unicode().to_string();
            prop_assert!(shown.starts_with(&format!("{before}{written}")), "{:?}", shown);
        }

        #[test]
        fn plain_text_is_untouched(text in "[ -~äöüß漢字]{0,60}") {
            prop_assert_eq!(presentable(&text, 60), text);
        }
    }
}
