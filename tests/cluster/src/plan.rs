//! What the node does from its start to readiness, as data: which programs on which host,
//! in which stages, and how each stage is known to be done. Pure; `node` carries it out.

mod files;
mod programs;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use programs::Programs;

use crate::component::Component;
use crate::network::Place;

/// Stages in their order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Written before anything starts.
    pub files: Vec<Text>,
    /// One after the other; each starts when the one before is done.
    pub stages: Vec<Stage>,
}

/// Programs that start together, and what tells that they did their work.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// In progress lines.
    pub name: String,
    /// What starts, and where.
    pub start: Vec<(Place, Component)>,
    /// Succeeds when the stage is done.
    pub done_when: Vec<String>,
    /// Written then.
    pub then_write: Option<Text>,
}

/// A file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub contents: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// The plan for these programs.
pub fn plan(programs: &Programs) -> Plan {
    Plan {
        files: files::files(programs),
        stages: vec![api_server(programs), node(programs), pod_network(programs)],
    }
}

fn api_server(programs: &Programs) -> Stage {
    Stage {
        name: "API server ready".to_owned(),
        start: vec![
            (Place::Node, programs.containerd()),
            (Place::ControlPlane, programs.etcd()),
            (Place::ControlPlane, programs.api_server()),
        ],
        done_when: programs.kubectl(&["get", "--raw", "/readyz"]),
        then_write: None,
    }
}

fn node(programs: &Programs) -> Stage {
    Stage {
        name: "node registered, Cilium's resources served".to_owned(),
        start: vec![
            (Place::ControlPlane, programs.controller_manager()),
            (Place::ControlPlane, programs.scheduler()),
            (Place::Node, programs.kubelet()),
            (Place::Node, programs.kube_proxy()),
            (Place::Node, programs.provisioner()),
            (Place::Node, programs.cilium_operator()),
        ],
        done_when: programs.kubectl(&[
            "get",
            "node/node0",
            "crd/ciliumendpoints.cilium.io",
            "crd/ciliumidentities.cilium.io",
            "crd/ciliumnetworkpolicies.cilium.io",
            "crd/ciliumnodes.cilium.io",
        ]),
        then_write: None,
    }
}

fn pod_network(programs: &Programs) -> Stage {
    Stage {
        name: "pod network ready, policies compiled".to_owned(),
        start: vec![(Place::Node, programs.cilium_agent())],
        done_when: programs.cilium_status(),
        // Not earlier: pods that start before the agent answers fail and back off.
        then_write: Some(files::cni_config()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_survives_its_file() {
        let plan = plan(&Programs::for_tests());
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn control_plane_is_on_a_host_of_its_own() {
        let plan = plan(&Programs::for_tests());
        let started = plan.stages.iter().flat_map(|stage| &stage.start);
        let on_control_plane: Vec<&str> = started
            .filter(|(place, _)| *place == Place::ControlPlane)
            .map(|(_, component)| component.name.as_str())
            .collect();
        assert_eq!(
            on_control_plane,
            [
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler"
            ]
        );
    }

    #[test]
    fn pod_network_is_announced_last() {
        let plan = plan(&Programs::for_tests());
        let announced: Vec<bool> = plan
            .stages
            .iter()
            .map(|stage| stage.then_write.is_some())
            .collect();
        assert_eq!(announced, [false, false, true]);
    }
}
