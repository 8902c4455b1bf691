//! What can be known of the container image without a container engine: the Dockerfile's stages, its user, that what it
//! copies exists and is enough to build from, and that the base image brings every library that the binary asks for.
//! Must not build an image.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project;

/// What gcr.io/distroless/cc-debian12 has: glibc and GCC's runtime, nothing else.
const LIBRARIES_OF_THE_BASE: [&str; 6] =
    ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];

/// The Dockerfile's instructions, comments dropped and continued lines joined.
fn instructions() -> Vec<String> {
    let text = fs::read_to_string(project::root().join("Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    lines
        .join("\n")
        .replace("\\\n", " ")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The instructions of each stage, which begins with its FROM.
fn stages() -> Vec<Vec<String>> {
    let mut stages: Vec<Vec<String>> = Vec::new();
    for instruction in instructions() {
        if instruction.starts_with("FROM ") {
            stages.push(Vec::new());
        }
        stages.last_mut().unwrap().push(instruction);
    }
    stages
}

fn values<'a>(stage: &'a [String], keyword: &str) -> Vec<&'a str> {
    stage.iter().filter_map(|instruction| instruction.strip_prefix(keyword)?.strip_prefix(' ')).collect()
}

#[test]
fn the_image_is_small_and_its_user_is_a_number_that_is_not_root() {
    let stages = stages();
    assert_eq!(stages.len(), 2, "one stage builds, one is shipped");
    let shipped = &stages[1];
    assert_eq!(values(shipped, "FROM"), ["gcr.io/distroless/cc-debian12:nonroot"]);
    let [user] = values(shipped, "USER")[..] else { panic!("one USER") };
    for number in user.split(':') {
        assert!(number.parse::<u32>().is_ok_and(|number| number > 0), "USER {user}: the kubelet cannot judge a name");
    }
    assert!(values(shipped, "RUN").is_empty(), "a distroless image has no shell to RUN with");
}

#[test]
fn the_image_runs_what_the_builder_made_as_the_user_of_the_chart() {
    let stages = stages();
    let built = stages[0].iter().any(|line| line.contains("--package health-operator") && line.contains("--locked"));
    assert!(built, "the builder must build health-operator with the committed Cargo.lock");
    assert_eq!(values(&stages[1], "COPY"), ["--from=build /out/health-check-operator /health-check-operator"]);
    assert_eq!(values(&stages[1], "ENTRYPOINT"), [r#"["/health-check-operator"]"#]);
    assert_eq!(values(&stages[1], "EXPOSE"), ["8080 8081 8082"]);

    let chart = fs::read_to_string(project::root().join("charts/health-check-operator/values.yaml")).unwrap();
    let user = values(&stages[1], "USER")[0].split(':').next().unwrap();
    assert!(chart.contains(&format!("runAsUser: {user}\n")), "the chart runs another user than the image's {user}");
}

#[test]
fn the_builder_is_the_compiler_that_the_project_asks_for_and_knows_both_processors() {
    let builder = &stages()[0];
    let manifest = fs::read_to_string(project::root().join("Cargo.toml")).unwrap();
    let minimum = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    let from = values(builder, "FROM")[0];
    assert!(
        from.contains(&format!("rust:{minimum}.")) && from.contains("-bookworm "),
        "{from}: Rust {minimum} on Debian 12"
    );
    let all = builder.join("\n");
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        assert!(all.contains(&format!("target={target}")), "no build for {target}");
    }
}

/// The files that the builder gets: what COPY names, without what .dockerignore keeps back.
fn context() -> Vec<PathBuf> {
    let root = project::root();
    let mut files = Vec::new();
    for copy in values(&stages()[0], "COPY") {
        let parts: Vec<&str> = copy.split_whitespace().collect();
        for source in &parts[..parts.len() - 1] {
            let path = root.join(source);
            assert!(path.exists(), "COPY {source}: no such file");
            let ignored = fs::read_to_string(root.join(".dockerignore")).unwrap();
            let named = format!("!{}", source.split('/').next().unwrap());
            assert!(ignored.lines().any(|line| line == named), ".dockerignore keeps {source} from the builder");
            collect(&path, &mut files);
        }
    }
    files
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let name = path.file_name().unwrap().to_string_lossy();
    if path.is_file() {
        files.push(path.to_path_buf());
    } else if !["target", "tests", "fuzz"].contains(&name.as_ref()) {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    }
}

#[test]
fn what_is_copied_is_enough_to_resolve_the_build() {
    let place = tempfile::tempdir().unwrap();
    for file in context() {
        let copy = place.path().join(file.strip_prefix(project::root()).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_source_includes_a_file_that_the_builder_does_not_get() {
    let copied: BTreeSet<PathBuf> = context().into_iter().collect();
    let mut missing = Vec::new();
    for source in copied.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(source).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for part in shipped.split("include_str!(\"").chain(shipped.split("include_bytes!(\"")).skip(1) {
            let Some((name, _)) = part.split_once("\")") else { continue };
            let included = source.parent().unwrap().join(name);
            if included.canonicalize().is_ok_and(|path| !copied.contains(&path)) {
                missing
                    .push(format!("{} includes {name}, which the Dockerfile does not copy", project::relative(source)));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The operator as the tests' own build made it.
pub(crate) fn binary() -> PathBuf {
    let beside_the_tests = std::env::current_exe().unwrap();
    let binary = beside_the_tests.parent().and_then(Path::parent).unwrap().join("health-check-operator");
    assert!(binary.is_file(), "{} is missing: build it with `cargo build --workspace`", binary.display());
    binary
}

#[test]
fn the_binary_asks_only_for_libraries_that_the_base_image_has() {
    let output = Command::new("readelf").arg("-d").arg(binary()).output();
    let output = output.unwrap_or_else(|error| panic!("readelf does not run ({error}): `apt-get install binutils`"));
    let needed: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned()))
        .collect();
    assert!(needed.iter().any(|library| library == "libc.so.6"), "readelf named no library: {needed:?}");
    let strangers: Vec<&String> =
        needed.iter().filter(|name| !LIBRARIES_OF_THE_BASE.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "the base image lacks {strangers:?}");
}

/// A folder with what the image has: the binary and the libraries it loads, and nothing else at all.
fn image_as_a_folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let loaded = Command::new("ldd").arg(binary()).output().unwrap();
    let loaded = String::from_utf8(loaded.stdout).unwrap();
    let libraries = loaded.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    for file in libraries {
        let copy = root.path().join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
    fs::copy(binary(), root.path().join("health-check-operator")).unwrap();
    // As in an image, anybody may read it.
    fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    root
}

#[test]
fn the_binary_runs_where_there_is_nothing_but_the_base_image() {
    let root = image_as_a_folder();
    let is_root = fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"));
    // Whoever is not root becomes it in a user namespace of their own, where no other user exists.
    let (program, arguments): (&str, &[&str]) =
        if is_root { ("chroot", &["--userspec=65532:65532"]) } else { ("unshare", &["--map-root-user", "chroot"]) };
    let output = Command::new(program)
        .args(arguments)
        .arg(root.path())
        .args(["/health-check-operator", "--version"])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("health-check-operator "), "{said}");
}
