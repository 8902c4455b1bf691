//! The commands of `docs/kubernetes.md`, typed as they stand there.

use std::{fs, net::TcpListener};

use health_testkit::control_plane::program;
use tokio::process::Command;

use super::shared;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_check_is_there_in_the_commands_of_the_document() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("first").await.unwrap();
    let operator = cluster.operator(&namespace);
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kubernetes.md")).unwrap();
    // The document asks the API server where every pod finds it; here something else listens.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let here = |script: &str| {
        script.replace("host: kubernetes.default.svc, port: 443", &format!("host: 127.0.0.1, port: {port}"))
    };
    assert_ne!(here(&text), text, "the document names the API server");
    let scripts: Vec<String> =
        text.split("```sh\n").skip(1).map(|rest| here(rest.split("```").next().unwrap())).collect();
    assert_eq!(scripts.len(), 2);
    let kubectl = program("kubectl").unwrap();
    let folder = kubectl.parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut said = String::new();
    for script in scripts {
        let script = format!("set -e\nkubectl() {{ command kubectl -n {namespace} \"$@\"; }}\n{script}");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).env("PATH", &path).env("KUBECONFIG", cluster.plane.admin_kubeconfig());
        let output = shell.output().await.unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(said.contains("condition met") && said.ends_with("Succeeded: Connection Successful"), "{said}");
    operator.stop();
}
