//! The whole server on loopback ports, before a fake vendor and a control
//! plane in memory: every refusal, every answer, and the line that each leaves.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is tests, helpers as well"
)]

mod answers;
mod changes;
mod client;
#[cfg(feature = "clients")]
mod clients;
mod control;
mod door;
mod freezes;
mod hostile;
mod life;
mod limits;
mod live;
mod objects;
mod receiver;
mod record;
mod refusals;
mod tokens;
mod vendor;
mod vendor_text;
mod watch;
mod world;
mod writes;
