//! The programs of the control plane as command lines. Pure: nothing is started here.
//! Both levels use them, the lighter one on loopback, the cluster on a host of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The addresses of Services.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The first of them is the API server's.
pub const API_SERVICE_ADDRESS: &str = "10.96.0.1";

/// A program that keeps running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name in progress lines, and of its log.
    pub name: String,
    /// What to run.
    pub program: PathBuf,
    /// With which arguments.
    pub args: Vec<String>,
    /// With which variables beside the inherited ones.
    pub env: Vec<(String, String)>,
}

impl Component {
    /// `program`, called `name`, with arguments that are written out.
    pub fn new(name: &str, program: PathBuf, args: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            program,
            args: args.to_vec(),
            env: Vec::new(),
        }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command that runs it, after the words of a program that runs others (`nsenter …`).
    pub fn command_after(&self, prefix: &[&str]) -> Command {
        let mut command = match prefix.split_first() {
            None => Command::new(&self.program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
        };
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// etcd without fsync: what it keeps does not outlive the cluster.
pub fn etcd(program: PathBuf, data: &Path, client: SocketAddr, peer: SocketAddr) -> Component {
    let args = [
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster=default=http://{peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Component::new("etcd", program, &args)
}

/// What distinguishes one API server from another.
pub struct ApiServer<'a> {
    /// The folder of certificates, as `Certificates` writes it.
    pub pki: &'a Path,
    /// Where etcd answers.
    pub etcd: SocketAddr,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The address behind the Service `default/kubernetes`.
    pub advertise: &'a str,
    /// Arguments of this level alone.
    pub extra: &'a [&'a str],
}

/// The API server.
pub fn api_server(program: PathBuf, server: &ApiServer<'_>) -> Component {
    let file = |name: &str| server.pki.join(name).display().to_string();
    let mut args = vec![
        format!("--etcd-servers=http://{}", server.etcd),
        format!("--bind-address={}", server.listen.ip()),
        format!("--secure-port={}", server.listen.port()),
        format!("--advertise-address={}", server.advertise),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--service-account-key-file={}", file("tokens.crt")),
        format!("--service-account-signing-key-file={}", file("tokens.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
    ];
    args.extend(server.extra.iter().map(ToString::to_string));
    Component::new("kube-apiserver", program, &args)
}

/// The controllers, with the kubeconfig `controller-manager` of that folder.
pub fn controller_manager(program: PathBuf, pki: &Path, extra: &[&str]) -> Component {
    let file = |name: &str| pki.join(name).display().to_string();
    let mut args = vec![
        format!("--kubeconfig={}", file("controller-manager.kubeconfig")),
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={}", file("tokens.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        format!("--cluster-signing-cert-file={}", file("ca.crt")),
        format!("--cluster-signing-key-file={}", file("ca.key")),
        "--leader-elect=false".to_owned(),
    ];
    args.extend(extra.iter().map(ToString::to_string));
    Component::new("kube-controller-manager", program, &args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<&str> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn component_runs_alone_or_behind_another_program() {
        let component = Component::new("x", "/bin/x".into(), &["--y".to_owned()]);
        assert_eq!(words(&component.command_after(&[])), ["/bin/x", "--y"]);
        assert_eq!(
            words(&component.command_after(&["nsenter", "--net=/n"])),
            ["nsenter", "--net=/n", "/bin/x", "--y"]
        );
    }

    #[test]
    fn api_server_takes_the_arguments_of_its_level() {
        let server = ApiServer {
            pki: Path::new("/pki"),
            etcd: ([127, 0, 0, 1], 2379).into(),
            listen: ([127, 0, 0, 1], 6443).into(),
            advertise: "192.0.2.1",
            extra: &["--allow-privileged=true"],
        };
        let args = api_server("/bin/kube-apiserver".into(), &server).args;
        assert!(args.contains(&"--secure-port=6443".to_owned()));
        assert!(args.contains(&"--client-ca-file=/pki/ca.crt".to_owned()));
        assert_eq!(args.last().unwrap(), "--allow-privileged=true");
    }
}
