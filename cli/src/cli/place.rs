//! Which cluster a command is about, and where in it.

use std::path::PathBuf;

use clap::Args;
use tenantry_core::name::is_dns_label;

/// Which cluster, and where in it: for every command, before its words or behind
/// them, as with kubectl. One that reads files alone has no use for it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where, of what is in a cluster")]
pub struct Place {
    /// The namespace of the organisation [default: that of the context]
    #[arg(short, long, global = true, value_name = "NS")]
    pub namespace: Option<String>,

    /// The context of the kubeconfig [default: the present one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// The kubeconfig [default: what KUBECONFIG names, or ~/.kube/config; in a pod without one, its account]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Stand in for this user, as kubectl does; needs the verb impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub user: Option<String>,

    /// In this group, together with --as; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub groups: Vec<String>,
}

impl Place {
    /// The flags that lead to this cluster and `namespace` once more.
    pub fn again(&self, namespace: &str) -> String {
        let kubeconfig = self.kubeconfig.as_ref();
        let kubeconfig = kubeconfig.map(|path| path.display().to_string());
        let mut text = format!("-n {}", word(namespace));
        for (flag, values) in [
            ("--context", self.context.as_slice()),
            ("--kubeconfig", kubeconfig.as_slice()),
            ("--as", self.user.as_slice()),
            ("--as-group", &self.groups),
        ] {
            for value in values {
                text = format!("{text} {flag} {}", word(value));
            }
        }
        text
    }
}

/// A text as a shell takes it for one word.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A name that a namespace can have (RFC 1123).
pub fn label(text: &str) -> Result<String, String> {
    is_dns_label(text, 63)
        .then(|| text.to_owned())
        .ok_or_else(|| {
            "a name is 1 to 63 of a-z, 0-9 and `-`, and neither begins nor ends with `-`".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_as_a_shell_takes_it() {
        let place = |context: Option<&str>| Place {
            namespace: None,
            context: context.map(str::to_owned),
            kubeconfig: None,
            user: None,
            groups: Vec::new(),
        };
        assert_eq!(place(None).again("acme"), "-n acme");
        let plain = "arn:aws:eks:eu:1:cluster/one";
        assert_eq!(
            place(Some(plain)).again("acme"),
            format!("-n acme --context {plain}")
        );
        assert_eq!(
            place(Some("it's $HOME")).again("acme"),
            r"-n acme --context 'it'\''s $HOME'"
        );
        let elsewhere = Place {
            kubeconfig: Some("/tmp/a b".into()),
            ..place(None)
        };
        assert_eq!(elsewhere.again("acme"), "-n acme --kubeconfig '/tmp/a b'");
        let other = Place {
            user: Some("bob".into()),
            groups: vec!["a".into(), "b c".into()],
            ..place(None)
        };
        let told = "-n acme --as bob --as-group a --as-group 'b c'";
        assert_eq!(other.again("acme"), told);
    }
}
