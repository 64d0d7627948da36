//! The SafetyPolicies of the cluster: what each is worth, and whom it binds.

pub mod bind;
pub mod judged;
