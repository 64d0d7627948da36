//! A real Kubernetes for tests and for trying things out, without Docker and without a registry.
//!
//! ```text
//!  cluster         one node in namespaces of its own: pods, Services, volumes, network policies (root)
//!    ├ network     node, control plane and "outside" as network namespaces on one bridge
//!    ├ node        what runs inside: pid 1 and the programs it starts
//!    └ image       a Dockerfile `FROM scratch` to an archive, and the archive to the node
//!  control_plane   the lighter level: etcd and the API server alone, in seconds (no root)
//!  tools           the programs, built from pinned Go modules and kept
//!  packages        what Debian has to bring
//! ```
//! What Tenantry itself needs in a cluster does not belong here.

pub mod cluster;
pub mod command;
pub mod component;
pub mod control_plane;
pub mod image;
mod keeper;
pub mod kubeconfig;
pub mod network;
pub mod node;
pub mod packages;
pub mod pki;
pub mod plan;
pub mod progress;
pub mod site;
pub mod tools;
pub mod wait;
