//! What waits to be told at one destination. Pure; the time is given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenantry_core::notification::Occasion;

use super::message::Notice;

/// Messages that wait: what an organisation that asks a lot has to say in the
/// minutes for which a receiver is given up on. Each has some 10 KB at most, so
/// that eight destinations stay far below the memory of a server.
pub const LONGEST: usize = 128;

/// The messages of one destination, the oldest first.
#[derive(Default)]
pub struct Queue {
    waiting: VecDeque<Arc<Notice>>,
    /// The one that is being told; who tells it may be gone before it is done.
    in_hand: Option<Arc<Notice>>,
    denials: Denials,
}

/// What policies denied, put together: an agent that asks in a loop is no reason
/// to fill a channel.
#[derive(Default)]
struct Denials {
    /// When the last one was put among those that wait.
    last: Option<Instant>,
    /// The newest since, and how many came before it.
    held: Option<(Arc<Notice>, u64)>,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This is to be told; it is in hand until it is said to be done.
    Tell(Arc<Notice>),
    /// Nothing before that moment.
    At(Instant),
    /// Nothing.
    Nothing,
}

impl Queue {
    /// Puts a message behind the others. Where there is no room the oldest makes
    /// way, which is the answer; what is in hand stays so.
    pub fn put(
        &mut self,
        notice: Arc<Notice>,
        now: Instant,
        every: Duration,
    ) -> Option<Arc<Notice>> {
        if notice.occasion == Occasion::Denied {
            let before = self.denials.held.take();
            let is_early = self.denials.due(every).is_some_and(|due| now < due);
            if before.is_some() || is_early {
                let count = before.map_or(0, |(_, count)| count + 1);
                self.denials.held = Some((notice, count));
                return None;
            }
            self.denials.last = Some(now);
        }
        self.push(notice)
    }

    /// What there is to do now.
    pub fn next(&mut self, now: Instant, every: Duration) -> Next {
        if let Some(notice) = &self.in_hand {
            return Next::Tell(Arc::clone(notice));
        }
        let due = self
            .denials
            .due(every)
            .filter(|_| self.denials.held.is_some());
        if due.is_some_and(|due| now >= due) {
            self.release(now);
        }
        match (self.waiting.pop_front(), due) {
            (Some(notice), _) => {
                self.in_hand = Some(Arc::clone(&notice));
                Next::Tell(notice)
            }
            (None, Some(due)) => Next::At(due),
            (None, None) => Next::Nothing,
        }
    }

    /// What is in hand is told, or given up.
    pub fn done(&mut self) {
        self.in_hand = None;
    }

    /// Takes out all that is left, as there is no later.
    pub fn rest(&mut self, now: Instant) -> Vec<Arc<Notice>> {
        self.release(now);
        let in_hand = self.in_hand.take();
        in_hand.into_iter().chain(self.waiting.drain(..)).collect()
    }

    fn push(&mut self, notice: Arc<Notice>) -> Option<Arc<Notice>> {
        let is_full = self.waiting.len() >= LONGEST;
        let dropped = is_full.then(|| self.waiting.pop_front()).flatten();
        self.waiting.push_back(notice);
        dropped
    }

    /// Puts what was held of denials among those that wait.
    fn release(&mut self, now: Instant) {
        let Some((notice, more)) = self.denials.held.take() else {
            return;
        };
        self.denials.last = Some(now);
        // One more than there is room for: whoever releases it takes one out.
        self.waiting.push_back(Arc::new(Notice {
            more,
            ..Notice::clone(&notice)
        }));
    }
}

impl Denials {
    /// When the next one may be told.
    fn due(&self, every: Duration) -> Option<Instant> {
        self.last.map(|last| last + every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_mins(1);

    fn notice(id: usize, occasion: Occasion) -> Arc<Notice> {
        Arc::new(Notice {
            id: id.to_string(),
            occasion,
            title: String::new(),
            summary: None,
            facts: vec![],
            rules: vec![],
            commands: vec![],
            more: 0,
        })
    }

    /// All that can be told at that moment, each done at once.
    fn told(queue: &mut Queue, now: Instant) -> Vec<(String, u64)> {
        let mut told = vec![];
        while let Next::Tell(notice) = queue.next(now, EVERY) {
            told.push((notice.id.clone(), notice.more));
            queue.done();
        }
        told
    }

    fn ids(told: &[(String, u64)]) -> Vec<&str> {
        told.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn what_is_in_hand_stays_there_until_it_is_done() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(queue.next(now, EVERY), Next::Nothing);
        let (first, second) = (notice(1, Occasion::Pending), notice(2, Occasion::Decided));
        queue.put(Arc::clone(&first), now, EVERY);
        queue.put(Arc::clone(&second), now, EVERY);
        for _ in 0..3 {
            assert_eq!(queue.next(now, EVERY), Next::Tell(Arc::clone(&first)));
        }
        queue.done();
        assert_eq!(queue.next(now, EVERY), Next::Tell(second));
    }

    #[test]
    fn the_oldest_makes_way_and_what_is_in_hand_does_not() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.put(notice(0, Occasion::Pending), now, EVERY);
        queue.next(now, EVERY);
        let dropped: Vec<_> = (1..LONGEST + 3)
            .filter_map(|id| queue.put(notice(id, Occasion::Pending), now, EVERY))
            .map(|dropped| dropped.id.clone())
            .collect();
        assert_eq!(dropped, ["1", "2"]);
        let left = told(&mut queue, now);
        assert_eq!(
            (ids(&left)[0], ids(&left)[1], left.len()),
            ("0", "3", LONGEST + 1)
        );
    }

    #[test]
    fn a_thousand_denials_are_two_messages() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for id in 0..1_000 {
            assert_eq!(queue.put(notice(id, Occasion::Denied), now, EVERY), None);
        }
        assert_eq!(told(&mut queue, now), [("0".to_owned(), 0)]);
        assert_eq!(queue.next(now, EVERY), Next::At(now + EVERY));
        let later = now + EVERY;
        assert_eq!(told(&mut queue, later), [("999".to_owned(), 998)]);
        assert_eq!(queue.next(later, EVERY), Next::Nothing);
        // And from then on the same.
        queue.put(notice(1_000, Occasion::Denied), later, EVERY);
        assert_eq!(queue.next(later, EVERY), Next::At(later + EVERY));
        queue.put(notice(1_001, Occasion::Denied), later + 2 * EVERY, EVERY);
        assert_eq!(
            told(&mut queue, later + 2 * EVERY),
            [("1001".to_owned(), 1)]
        );
    }

    #[test]
    fn denials_hold_up_nothing_else() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for id in [1, 2] {
            queue.put(notice(id, Occasion::Denied), now, EVERY);
        }
        queue.put(notice(3, Occasion::Pending), now, EVERY);
        assert_eq!(ids(&told(&mut queue, now)), ["1", "3"]);
    }

    #[test]
    fn at_the_end_all_that_is_left_is_taken_out() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for id in [1, 2] {
            queue.put(notice(id, Occasion::Denied), now, EVERY);
        }
        queue.put(notice(3, Occasion::Pending), now, EVERY);
        queue.next(now, EVERY);
        let rest: Vec<_> = queue.rest(now).iter().map(|one| one.id.clone()).collect();
        assert_eq!(rest, ["1", "3", "2"]);
        assert!(queue.rest(now).is_empty());
    }
}
