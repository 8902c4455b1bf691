//! The control plane itself: what the cluster tests of the other crates rely on.

use health_testkit::control_plane::ControlPlane;

#[tokio::test]
async fn a_namespace_made_by_one_test_is_seen_by_the_administrator() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("seen").await.unwrap();

    let names = plane.kubectl(&["get", "namespaces", "-o", "name"]).await.unwrap().succeeded().unwrap();

    assert!(names.lines().any(|name| name == format!("namespace/{namespace}")), "{names}");
}

#[tokio::test]
async fn a_service_account_may_do_nothing_that_no_role_grants() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("stranger").await.unwrap();
    plane.kubectl(&["create", "serviceaccount", "stranger", "-n", &namespace]).await.unwrap().succeeded().unwrap();
    let token = plane.service_account_token(&namespace, "stranger").await.unwrap();
    let kubeconfig = plane.kubeconfig_for(&token, &namespace).unwrap();

    let refused = plane.kubectl_as(&kubeconfig, &["get", "secrets"]).await.unwrap().refused().unwrap();

    assert!(refused.contains(&format!("system:serviceaccount:{namespace}:stranger")), "{refused}");
}

#[tokio::test]
async fn a_killed_api_server_comes_back_with_what_it_knew_and_a_wiped_one_without() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl(&["create", "namespace", "kept"]).await.unwrap().succeeded().unwrap();

    plane.kill_api_server().unwrap();
    plane.kubectl(&["get", "namespace", "kept"]).await.unwrap().refused().unwrap();
    plane.restart_api_server().await.unwrap();
    plane.kubectl(&["get", "namespace", "kept"]).await.unwrap().succeeded().unwrap();

    plane.wipe().await.unwrap();
    let refused = plane.kubectl(&["get", "namespace", "kept"]).await.unwrap().refused().unwrap();
    assert!(refused.contains("not found"), "{refused}");
}
