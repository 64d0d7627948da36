//! Durations as people write them: a number and one of s, m, h and d.

/// Of the longest window that a form admits: 99,999 days.
const MOST_DIGITS: usize = 5;

/// In milliseconds; none if it is not a duration above zero.
pub fn millis(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    if number.is_empty() || number.len() > MOST_DIGITS {
        return None;
    }
    if number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    Some(number.parse::<i64>().ok()? * seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(millis("1s"), Some(1_000));
        assert_eq!(millis("5m"), Some(300_000));
        assert_eq!(millis("24h"), Some(86_400_000));
        assert_eq!(millis("99999d"), Some(8_639_913_600_000));
        for text in [
            "", "s", "0s", "05m", "1", "1w", "-1s", "1.5h", "100000s", "1 s", "٣s",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
