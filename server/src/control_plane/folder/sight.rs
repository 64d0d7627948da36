//! Whether the documents are in sight, and when that changed: the log says so
//! once, however often one looks.

/// What a look brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is as before.
    Same,
    /// It is news.
    Turned,
}

/// What the last look brought.
#[derive(Default)]
pub(super) struct Sight {
    /// Why nothing was seen.
    lost: Option<String>,
}

impl Sight {
    /// The documents were seen.
    pub(super) fn got(&mut self) -> Change {
        self.turn(None)
    }

    /// They were not, and that is why.
    pub(super) fn lost(&mut self, told: &str) -> Change {
        self.turn(Some(told.to_owned()))
    }

    fn turn(&mut self, now: Option<String>) -> Change {
        if self.lost == now {
            return Change::Same;
        }
        self.lost = now;
        Change::Turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_so_is_news_once() {
        let mut sight = Sight::default();
        assert_eq!(sight.got(), Change::Same);
        assert_eq!(sight.lost("gone"), Change::Turned);
        assert_eq!(sight.lost("gone"), Change::Same);
        assert_eq!(sight.lost("forbidden"), Change::Turned);
        assert_eq!(sight.got(), Change::Turned);
        assert_eq!(sight.got(), Change::Same);
    }
}
