//! The book on both of its engines, each the real one: one suite, run twice.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "everything here is a test or stands in one"
)]

/// Runs each of these tests on a book in a file and on one in a database.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::house::House::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::house::House::postgres()).await;
            })*
        }
    };
}

mod approvals;
mod audit;
mod batches;
mod claims;
mod crashes;
mod house;
mod identity;
mod inquiries;
mod likeness;
mod listing;
mod money;
mod postgres;
mod roots;
mod settling;
mod space;
mod wish;
