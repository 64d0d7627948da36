//! Notifications: what happens is told to those who were not there, by a signed
//! webhook with a body that Slack takes. Nothing waits for it and nothing fails by
//! it: what cannot be told is counted, logged and left.

pub mod address;
pub mod event;
pub mod message;
pub mod notice;
pub mod pace;
pub mod queue;
pub mod signature;
pub mod words;
