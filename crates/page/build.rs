//! Builds the page in `web/` and leaves it in `OUT_DIR` for `src/lib.rs` to embed.
//!
//! Only `web/node_modules` is written to in the source tree, by npm; what vite makes goes to `OUT_DIR`.
//! Without the feature `built` nothing is run and Node is not needed.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the page is made from, relative to `web/`; a change to any of it builds the page again.
const SOURCES: [&str; 5] = [
    "src",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
];

/// Kept in `node_modules` after an install: the lock file that was installed.
const INSTALLED: &str = "node_modules/.two-buckets-installed";

#[expect(
    clippy::print_stderr,
    reason = "cargo shows a failed build script's standard error; it has no other voice"
)]
fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe page could not be built: {error}");
            eprintln!(
                "to build without the page leave out the feature `page`: cargo build --no-default-features --features local,aws\n"
            );
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through their environment"
)]
fn build() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_BUILT").is_none() {
        return Ok(());
    }
    let web = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    println!("cargo::rerun-if-env-changed=PATH");
    let web = web
        .canonicalize()
        .map_err(|e| format!("{}: {e}", web.display()))?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("page");

    // Two builds with different target folders share node_modules, and `npm ci` begins by emptying it.
    // The lock is on a file that is always there and that neither npm nor vite reads; it goes with
    // the handle, however this process ends.
    let lock = File::open(web.join("README.md"))?;
    lock.lock()?;
    install(&web)?;
    run(node(&web, "npm")
        .args(["run", "--silent", "build", "--"])
        .args(["--emptyOutDir", "--logLevel", "warn", "--outDir"])
        .arg(&out))?;
    drop(lock);

    let mut files = Vec::new();
    list(&out, &mut files)?;
    files.sort();
    fs::write(out.with_extension("rs"), table(&out, &files)?)?;
    Ok(())
}

/// Runs `npm ci` unless exactly this lock file was installed before.
fn install(web: &Path) -> Result<(), Box<dyn Error>> {
    let wanted = fs::read(web.join("package-lock.json"))?;
    let stamp = web.join(INSTALLED);
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(node(web, "npm").args(["ci", "--loglevel", "error"]))?;
    // Written last: an interrupted install leaves no stamp and is done again.
    fs::write(&stamp, wanted)?;
    Ok(())
}

fn node(web: &Path, program: &str) -> Command {
    let program = if cfg!(windows) {
        format!("{program}.cmd")
    } else {
        program.to_owned()
    };
    let mut command = Command::new(program);
    command.current_dir(web);
    command
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let line = format!("{command:?}");
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "npm was not found; install Node.js 20.19 or 22.12 or newer, which brings it".to_owned()
        }
        _ => format!("{line}: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{line} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The embedded files as Rust: pairs of path below the page's root and bytes.
fn table(out: &Path, files: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let mut table = String::from("&[\n");
    for file in files {
        let path = file
            .strip_prefix(out)?
            .to_str()
            .ok_or("a path that is not UTF-8")?;
        let path = path.replace('\\', "/");
        writeln!(
            table,
            "    ({path:?}, include_bytes!({:?})),",
            file.display().to_string()
        )?;
    }
    table.push(']');
    Ok(table)
}
