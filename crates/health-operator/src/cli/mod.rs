//! The command line: what can be said to the program, and how it answers what it cannot read.
//!
//! Every flag of the running operator can also be given by an environment variable: `HEALTH_CHECK_` and the flag in
//! upper snake case. The flag wins over the variable, the variable over the default.

mod address;
mod duration;
mod explain;
mod flags;
mod pattern;

pub(crate) use address::BindAddress;
pub(crate) use explain::{mistyped_variables, parse};
pub(crate) use flags::{LogFlags, LogFormat, LogLevel, NetworkFlags, RunFlags};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Examples shown under the program's own help.
const EXAMPLES: &str = "\
Examples:
  health-check-operator demo                            a first look, nothing to set up
  health-check-operator --manifests ./checks            watch what the manifests in a folder describe
  health-check-operator                                 watch the HealthChecks of the Kubernetes cluster at hand
  health-check-operator probe https://example.org       ask once, now, and explain the answer
  health-check-operator validate ./checks               say what is wrong with manifests, by file and line
  health-check-operator crds | kubectl apply -f -       install the CustomResourceDefinitions

Flags follow the subcommand. A flag wins over its environment variable, the variable over the default.";

/// Keeps asking "is it healthy?" of services, and tells whoever must act on it.
///
/// Without a subcommand it runs: with --manifests from a folder, otherwise against Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "health-check-operator", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do instead of running.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How to run.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run, the same as with no subcommand at all.
    Run(Box<RunFlags>),
    /// Run on five checks of targets that this command starts itself; a first look without any set-up.
    Demo(Box<DemoArgs>),
    /// Say per file, line and field what is wrong with manifests; exit 1 if anything is.
    Validate(ValidateArgs),
    /// Probe once, now, and explain: phases, address, certificate, verdict; exit 0 healthy, 1 not, 2 could not be asked.
    Probe(Box<ProbeArgs>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Send a test message through every channel of a NotificationRule and print what each provider said.
    NotifyTest(NotifyTestArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `demo`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  health-check-operator demo                              then open http://localhost:8082/healthchecks
  health-check-operator demo --manifests examples/quickstart   the targets only, with checks of your own")]
pub(crate) struct DemoArgs {
    /// Where the targets of the demo listen.
    #[arg(
        long,
        env = "HEALTH_CHECK_TARGETS_BIND_ADDRESS",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8090"
    )]
    pub(crate) targets_bind_address: BindAddress,
    /// How to run.
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// `validate`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  health-check-operator validate checks/                 every *.yaml and *.yml below a folder
  health-check-operator validate web.yaml secrets.yaml   references are looked for in all files given
  helm template . | health-check-operator validate -     what comes on standard input

Exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 2 usage.")]
pub(crate) struct ValidateArgs {
    /// Files, folders, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// `probe`
#[derive(Debug, Args)]
#[command(after_help = "\
Targets:
  http://host/path   https://host/path   ws://host/path      wss://host/path
  tcp://host:port    tls://host:port     udp://host:port
  grpc://host:port/service               grpcs://host:port/service
  dns://server/name?type=A               dns:///name (the system's servers)
  icmp://host

Examples:
  health-check-operator probe https://example.org
  health-check-operator probe tcp://127.0.0.1:5432 --timeout 2s
  health-check-operator probe -f checks/web.yaml         Secrets come from the same file or its folder
  health-check-operator probe -f checks/ -o json | jq '.items[] | select(.healthy | not)'

Exit codes: 0 all healthy, 1 something is not (refused and silent targets included),
2 something could not be asked: usage, manifest, Secret.")]
#[command(
    override_usage = "health-check-operator probe [OPTIONS] <TARGET>\n       health-check-operator probe [OPTIONS] -f <FILE>"
)]
pub(crate) struct ProbeArgs {
    /// What to probe.
    #[arg(value_name = "TARGET", required_unless_present = "file", conflicts_with = "file")]
    pub(crate) target: Option<String>,
    /// A manifest file or a folder of them; - for standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The deadline, in place of the check's own.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) timeout: Option<std::time::Duration>,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
    /// Whom probes may reach.
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
    /// What to log.
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// `notify-test`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  health-check-operator notify-test on-call --manifests ./checks
  health-check-operator notify-test team-a/on-call        in the cluster of the kubeconfig, or the one that the pod runs in

Exit codes: 0 every channel accepted the message, 1 one did not, 2 usage, manifest or Secret.")]
pub(crate) struct NotifyTestArgs {
    /// The rule: its name, or namespace/name. In a cluster, a name alone is of the kubeconfig's namespace.
    #[arg(value_name = "RULE")]
    pub(crate) rule: String,
    /// The folder or file that holds the rule and its Secrets; without it, the cluster at hand.
    #[arg(long, value_name = "DIR", env = "HEALTH_CHECK_MANIFESTS", hide_env_values = true)]
    pub(crate) manifests: Option<PathBuf>,
    /// What to log.
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// `completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  health-check-operator completions bash > /etc/bash_completion.d/health-check-operator
  health-check-operator completions zsh > \"${fpath[1]}/_health-check-operator\"")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}
