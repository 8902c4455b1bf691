//! `docs/protocols.md` holds every line of what blackbox_exporter documents, and names tests that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Every setting in blackbox_exporter's CONFIGURATION.md (July 2026), by the section of our page that answers to it.
const BLACKBOX: &[(&str, &str)] = &[
    ("All of them", "prober timeout preferred_ip_protocol ip_protocol_fallback source_ip_address unix"),
    (
        "`http`",
        "valid_status_codes valid_http_versions method headers http_headers values secrets files body_size_limit \
         compression follow_redirects fail_if_ssl fail_if_not_ssl fail_if_body_json_matches_cel \
         fail_if_body_json_not_matches_cel fail_if_body_matches_regexp fail_if_body_not_matches_regexp \
         fail_if_header_matches fail_if_header_not_matches header regexp allow_missing tls_config basic_auth username \
         password username_file password_file authorization type credentials credentials_file proxy_url no_proxy \
         proxy_from_environment proxy_connect_header skip_resolve_phase_with_proxy oauth2 client_id client_secret \
         client_secret_file scopes token_url endpoint_params enable_http2 enable_http3 body body_file",
    ),
    ("`tls`", "insecure_skip_verify ca_file cert_file key_file server_name min_version max_version"),
    ("`tcp`", "expect expect_bytes labels send starttls tls tls_config"),
    (
        "`dns`",
        "transport_protocol dns_over_tls tls_config query_name query_type query_class recursion_desired valid_rcodes \
         validate_answer_rrs fail_if_matches_regexp fail_if_all_match_regexp fail_if_not_matches_regexp \
         fail_if_none_matches_regexp validate_authority_rrs validate_additional_rrs",
    ),
    ("`icmp`", "dont_fragment payload_size ttl"),
    ("`grpc`", "service metadata tls tls_config"),
    ("`websocket`", "http_config headers query_response"),
];

/// A row of a table: what blackbox_exporter calls it, what is here, the tests.
type Row = [String; 3];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")
}

/// The tables of the page, by the heading above them.
fn tables() -> BTreeMap<String, Vec<Row>> {
    let page = folder().join("../../../../docs/protocols.md");
    let text = fs::read_to_string(page).unwrap().replace("\\|", "\u{1}");
    let mut tables = BTreeMap::<String, Vec<Row>>::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let (true, [theirs, ours, tests]) = (line.starts_with("| "), cells.as_slice())
            && *tests != "test"
        {
            tables.entry(heading.clone()).or_default().push([*theirs, *ours, *tests].map(str::to_owned));
        }
    }
    tables
}

fn in_backticks(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_line_of_blackbox_exporter_is_on_the_page() {
    let tables = tables();
    for (section, settings) in BLACKBOX {
        let found = tables.iter().find(|(heading, _)| heading.starts_with(section));
        let (_, rows) = found.unwrap_or_else(|| panic!("docs/protocols.md has no table under {section}"));
        let named: BTreeSet<&str> = rows.iter().flat_map(|[theirs, ..]| in_backticks(theirs)).collect();
        for setting in settings.split_whitespace() {
            assert!(named.contains(setting), "docs/protocols.md says nothing of {setting} under {section}");
        }
    }
}

#[test]
fn every_row_names_a_test_that_exists_or_says_that_there_is_none() {
    for (heading, rows) in tables() {
        for [theirs, ours, tests] in rows {
            let place = format!("docs/protocols.md, {heading}, {theirs}");
            if tests == "–" {
                assert!(ours.starts_with("none"), "{place}: names no test although there is such a thing");
                continue;
            }
            let mut named = in_backticks(&tests).peekable();
            assert!(named.peek().is_some(), "{place}: names no test");
            for test in named {
                assert!(exists(test), "{place}: there is no test {test}");
            }
        }
    }
}

/// Whether `file::test` or `file::test::case` is a test of this crate.
fn exists(test: &str) -> bool {
    let mut parts = test.split("::");
    let (Some(file), Some(function), case) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Ok(text) = fs::read_to_string(folder().join(format!("{file}.rs"))) else { return false };
    let Some(at) = text.find(&format!("fn {function}(")) else { return false };
    // The attributes of the function begin after the one before it has ended.
    let attributes = &text[text[..at].rfind("\n}\n").unwrap_or(0)..at];
    attributes.contains("#[tokio::test") && case.is_none_or(|case| attributes.contains(&format!("#[case::{case}(")))
}
