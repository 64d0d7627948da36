//! Fake vendors: servers that speak the vendors' real wire formats, as far as
//! our tools need them, with switches for everything that can go wrong.
//!
//! They know nothing of Tenantry; what a test expects stays in the test.

pub mod meta;
