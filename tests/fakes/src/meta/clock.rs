//! The fake's time: it stands still until a test moves it, or runs with the
//! machine's where people play. Windows and stamps follow it, never the machine.

use jiff::Timestamp;

/// 2026-11-23T12:00:00Z, a Monday.
const START: i64 = 1_795_435_200;

/// As Meta writes times; ours are in UTC whatever the account's zone is.
const WRITTEN: &str = "%Y-%m-%dT%H:%M:%S%z";

/// Whole seconds since 1970.
pub(super) struct Clock {
    is_running: bool,
    ahead: i64,
}

impl Clock {
    pub fn still() -> Self {
        Self {
            is_running: false,
            ahead: 0,
        }
    }

    pub fn running() -> Self {
        Self {
            is_running: true,
            ahead: 0,
        }
    }

    pub fn now(&self) -> i64 {
        let start = if self.is_running {
            Timestamp::now().as_second()
        } else {
            START
        };
        start.saturating_add(self.ahead)
    }

    /// Time only goes forwards.
    pub fn advance(&mut self, seconds: u32) {
        self.ahead = self.ahead.saturating_add(seconds.into());
    }
}

/// A time as Meta writes it.
pub(super) fn written(seconds: i64) -> String {
    let stamp = Timestamp::from_second(seconds).unwrap_or_default();
    stamp.strftime(WRITTEN).to_string()
}

/// A time as Meta takes it: seconds since 1970, or text with an offset.
pub(super) fn read(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let stamp = Timestamp::strptime(WRITTEN, text).or_else(|_| text.parse::<Timestamp>());
    stamp.map(Timestamp::as_second).ok()
}
