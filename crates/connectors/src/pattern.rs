//! Anchored patterns: the small part of regular expressions that connector
//! files may use. Without alternatives, groups, wildcards or open repetition,
//! what a pattern admits can be read off it, and matching cannot run away.

use std::ops::Range;

/// Longest text that any pattern of ours may admit; a cursor is the longest.
const MOST_REPEATS: u32 = 1024;

/// Inclusive ranges of characters.
type Ranges = Vec<(char, char)>;

/// A pattern such as `^act_[0-9]{1,20}$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Step>);

/// Some characters, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    ranges: Ranges,
    least: u32,
    most: u32,
}

impl Pattern {
    /// Reads a pattern, or says what it holds that is not allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('^')
            .and_then(|rest| rest.strip_suffix('$'))
            .ok_or_else(|| format!("pattern `{text}` is not anchored with ^ and $"))?;
        let mut rest = inner;
        let mut steps = Vec::new();
        while let Some(first) = rest.chars().next() {
            let (ranges, after) = characters(first, rest, text)?;
            let (least, most, after) = repeats(after, text)?;
            steps.push(Step {
                ranges,
                least,
                most,
            });
            rest = after;
        }
        if steps.is_empty() {
            return Err(format!("pattern `{text}` admits nothing"));
        }
        Ok(Self(steps))
    }

    /// Whether the whole text is admitted.
    pub fn admits(&self, text: &str) -> bool {
        // No pattern admits anything but ASCII, so bytes are characters.
        let bytes = text.as_bytes();
        let mut reached: Vec<bool> = (0..=bytes.len()).map(|place| place == 0).collect();
        for step in &self.0 {
            let mut next = vec![false; reached.len()];
            for (from, _) in reached.iter().enumerate().filter(|(_, is)| **is) {
                let ends = step.ends(bytes, from);
                next.iter_mut()
                    .take(ends.end)
                    .skip(ends.start)
                    .for_each(|is| *is = true);
            }
            reached = next;
        }
        reached.last() == Some(&true)
    }

    /// Whether every text it admits can be one path segment without escaping.
    pub fn is_path_safe(&self) -> bool {
        let safe = |from: char, to: char| {
            (from..=to).all(|one| one.is_ascii_alphanumeric() || one == '_' || one == '-')
        };
        self.0.iter().any(|step| step.least > 0)
            && self
                .0
                .iter()
                .all(|step| step.ranges.iter().all(|&(from, to)| safe(from, to)))
    }
}

impl Step {
    fn admits(&self, one: char) -> bool {
        self.ranges
            .iter()
            .any(|&(from, to)| (from..=to).contains(&one))
    }

    /// The places at which this step can end if it starts at `from`.
    fn ends(&self, bytes: &[u8], from: usize) -> Range<usize> {
        let rest = bytes.iter().skip(from);
        let fitting = rest.take_while(|&&one| self.admits(one.into()));
        let fitting = fitting.take(self.most as usize).count();
        from + self.least as usize..from + fitting + 1
    }
}

fn characters<'t>(first: char, rest: &'t str, whole: &str) -> Result<(Ranges, &'t str), String> {
    if first == '[' {
        let (class, after) = rest
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
            .ok_or_else(|| format!("pattern `{whole}` has a class without an end"))?;
        return Ok((ranges(class, whole)?, after));
    }
    if is_literal(first) {
        let after = rest.get(first.len_utf8()..).unwrap_or("");
        return Ok((vec![(first, first)], after));
    }
    Err(format!(
        "pattern `{whole}` holds `{first}`, which is not allowed outside a class"
    ))
}

fn ranges(class: &str, whole: &str) -> Result<Ranges, String> {
    let mut rest = class.chars().peekable();
    let mut found = Vec::new();
    while let Some(from) = rest.next() {
        let is_range = rest.peek() == Some(&'-') && rest.clone().nth(1).is_some();
        let to = if is_range {
            rest.nth(1).unwrap_or(from)
        } else {
            from
        };
        let within = |low: char, high: char| from >= low && to <= high && from < to;
        let good = if is_range {
            within('0', '9') || within('a', 'z') || within('A', 'Z')
        } else {
            from.is_ascii_alphanumeric() || "_-=+/.:|".contains(from)
        };
        if !good {
            return Err(format!(
                "pattern `{whole}` has a doubtful class `[{class}]`"
            ));
        }
        found.push((from, to));
    }
    if found.is_empty() {
        return Err(format!("pattern `{whole}` has an empty class"));
    }
    Ok(found)
}

fn is_literal(one: char) -> bool {
    one.is_ascii_alphanumeric() || one == '_' || one == '-'
}

fn repeats<'t>(rest: &'t str, whole: &str) -> Result<(u32, u32, &'t str), String> {
    let Some(inner) = rest.strip_prefix('{') else {
        return Ok((1, 1, rest));
    };
    let doubtful =
        || format!("pattern `{whole}` repeats without two bounds of at most {MOST_REPEATS}");
    let (bounds, after) = inner.split_once('}').ok_or_else(doubtful)?;
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, bounds));
    let least: u32 = least.parse().map_err(|_| doubtful())?;
    let most: u32 = most.parse().map_err(|_| doubtful())?;
    if least > most || most == 0 || most > MOST_REPEATS {
        return Err(doubtful());
    }
    Ok((least, most, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_pattern_admits_accounts_and_nothing_else() {
        let pattern = Pattern::parse("^act_[0-9]{1,20}$").unwrap();
        assert!(pattern.is_path_safe());
        assert!(pattern.admits("act_1001"));
        for text in [
            "act_",
            "act_1?method=post",
            "act_1/x",
            "xact_1",
            "act_1\n",
            "act_１",
            "",
        ] {
            assert!(!pattern.admits(text), "{text:?}");
        }
        assert!(!pattern.admits(&format!("act_{}", "1".repeat(21))));
    }

    #[test]
    fn overlapping_steps_are_matched_without_backtracking() {
        let pattern = Pattern::parse("^[a-z]{0,1024}[a-z]{0,1024}z$").unwrap();
        assert!(pattern.admits(&format!("{}z", "a".repeat(2_000))));
        assert!(!pattern.admits(&"a".repeat(2_000)));
    }

    #[test]
    fn what_could_admit_too_much_is_refused() {
        let doubtful = [
            "act_[0-9]{1,20}",
            "^act_.{1,20}$",
            "^act_[0-9]+$",
            "^(a|b)$",
            "^[^/]{1,5}$",
            "^[0-9]{1,}$",
            "^[0-9]{1,9999}$",
            "^[0-9$",
            "^[]$",
            "^$",
            "^a{2,1}$",
            "^[ -~]{1,5}$",
            r"^\d{1,5}$",
            "^a$|b$",
        ];
        for text in doubtful {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_pattern_is_not_safe_in_a_path() {
        assert!(
            !Pattern::parse("^[A-Za-z0-9+/=]{1,64}$")
                .unwrap()
                .is_path_safe()
        );
        assert!(!Pattern::parse("^[a-z]{0,5}$").unwrap().is_path_safe());
    }
}
