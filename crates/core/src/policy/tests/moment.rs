//! The moment of the tables' decisions, and times around it. Without names of
//! the crate: the server's tests read the same tables.

use jiff::{SignedDuration, Timestamp};

/// When every case is decided.
pub const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// `24h`, `24h-1ms`, `15m+1ms`.
pub fn length_ms(text: &str) -> i64 {
    let split = text.find(['+', '-']);
    let (length, more) = split.map_or((text, ""), |at| text.split_at(at));
    let one = |text: &str| {
        let unit = text.find(|sign: char| sign.is_alphabetic()).unwrap();
        let (count, unit) = text.split_at(unit);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => panic!("`{text}` is no length"),
        };
        count.parse::<i64>().unwrap() * unit_ms
    };
    one(length) + if more.is_empty() { 0 } else { one(more) }
}

/// So long before the decision, or after it.
pub fn ago(text: &str) -> Timestamp {
    match text.strip_prefix("in:") {
        Some(text) => NOW + SignedDuration::from_millis(length_ms(text)),
        None => NOW - SignedDuration::from_millis(length_ms(text)),
    }
}
