//! Where a function's code is, and what of it is called: what `--function` says, looked up.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What runs the function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    /// Python, by its `awslambdaric`.
    Python,
    /// Node.
    Node,
    /// A program that speaks the Runtime API itself, as Lambda's `provided.al2023` runs it.
    Program,
}

/// A function's code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Code {
    /// What runs it.
    pub(crate) language: Language,
    /// The folder its files are in, absolute: `LAMBDA_TASK_ROOT`.
    pub(crate) folder: PathBuf,
    /// The file in it that is named or that the handler is in.
    pub(crate) file: String,
    /// What is called, as `file.function`; for a program its file's name unless said otherwise.
    pub(crate) handler: String,
}

/// The names that Lambda's consoles and tutorials give to the file and the function in it.
const DEFAULTS: [(&str, Language, &[&str]); 12] = [
    ("lambda_function.py", Language::Python, PYTHON_NAMES),
    ("handler.py", Language::Python, PYTHON_NAMES),
    ("processor.py", Language::Python, PYTHON_NAMES),
    ("main.py", Language::Python, PYTHON_NAMES),
    ("app.py", Language::Python, PYTHON_NAMES),
    ("index.mjs", Language::Node, NODE_NAMES),
    ("index.js", Language::Node, NODE_NAMES),
    ("index.cjs", Language::Node, NODE_NAMES),
    ("handler.mjs", Language::Node, NODE_NAMES),
    ("handler.js", Language::Node, NODE_NAMES),
    ("app.mjs", Language::Node, NODE_NAMES),
    ("app.js", Language::Node, NODE_NAMES),
];
const PYTHON_NAMES: &[&str] = &["lambda_handler", "handler", "main"];
const NODE_NAMES: &[&str] = &["handler", "lambdaHandler"];
/// The largest source file that is searched for the name of its function.
const SOURCE_BYTES_MAX: u64 = 4 << 20;

/// Finds the code that `spec` names: a file of Python or JavaScript, a program, a folder, or `file.function` in the
/// working folder. `handler` says what is called, as `file.function` or `function` alone, where it is not found by itself.
/// The error is a sentence for whoever typed it.
pub(crate) fn find(spec: &Path, handler: Option<&str>) -> Result<Code, String> {
    let shown = spec.display();
    if spec.is_dir() {
        return in_folder(&absolute(spec)?, handler);
    }
    if spec.is_file() {
        let path = absolute(spec)?;
        let folder = path
            .parent()
            .ok_or_else(|| format!("{shown} is in no folder"))?
            .to_owned();
        let name = file_name(&path)?;
        let Some(language) = language_of(&path) else {
            return program(folder, name, handler);
        };
        return source(folder, &name, language, handler);
    }
    named(spec, handler).unwrap_or_else(|| Err(format!(
        "there is no {shown}; name a file of Python or JavaScript, a program, a folder or a zip, or file.function"
    )))
}

/// `file.function` in the working folder, as Lambda's own handler setting.
fn named(spec: &Path, handler: Option<&str>) -> Option<Result<Code, String>> {
    let text = spec.to_str()?;
    let (module, function) = text.rsplit_once('.')?;
    let (path, language) = ["py", "mjs", "js", "cjs"]
        .into_iter()
        .find_map(|extension| {
            let path = PathBuf::from(format!("{module}.{extension}"));
            path.is_file()
                .then(|| language_of(&path).map(|language| (path, language)))?
        })?;
    if handler.is_some() {
        return Some(Err(format!(
            "--function {text} names the function already; leave --function-handler out"
        )));
    }
    Some(absolute(&path).and_then(|path| {
        let folder = path
            .parent()
            .ok_or_else(|| format!("{} is in no folder", path.display()))?
            .to_owned();
        source(folder, &file_name(&path)?, language, Some(function))
    }))
}

/// What a folder holds, as one would zip it for Lambda.
pub(crate) fn in_folder(folder: &Path, handler: Option<&str>) -> Result<Code, String> {
    let shown = folder.display();
    if let Some(handler) = handler
        && let Some((file, function)) = handler.rsplit_once('.')
    {
        for (extension, language) in [
            ("py", Language::Python),
            ("mjs", Language::Node),
            ("js", Language::Node),
            ("cjs", Language::Node),
        ] {
            let name = format!("{file}.{extension}");
            if folder.join(&name).is_file() {
                return source(folder.to_owned(), &name, language, Some(function));
            }
        }
        if !folder.join("bootstrap").is_file() {
            return Err(format!(
                "the handler {handler} wants {file}.py, {file}.mjs or {file}.js in {shown}, and there is none"
            ));
        }
    }
    if folder.join("bootstrap").is_file() {
        return program(folder.to_owned(), "bootstrap".to_owned(), handler);
    }
    let there: Vec<_> = DEFAULTS
        .iter()
        .filter(|(name, ..)| folder.join(name).is_file())
        .collect();
    match there.as_slice() {
        [(name, language, _)] => source(folder.to_owned(), name, *language, handler),
        [] => Err(format!(
            "{shown} holds no function that is found by itself (bootstrap, {}); say by --function-handler what is called, as file.function",
            DEFAULTS.map(|(name, ..)| name).join(", ")
        )),
        several => Err(format!(
            "{shown} holds {}; say by --function-handler which is called, as file.function",
            several
                .iter()
                .map(|(name, ..)| *name)
                .collect::<Vec<_>>()
                .join(" and ")
        )),
    }
}

fn source(
    folder: PathBuf,
    name: &str,
    language: Language,
    handler: Option<&str>,
) -> Result<Code, String> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let function = match handler {
        // Whoever gives `file.function` with the file itself says the same twice.
        Some(handler) => match handler.rsplit_once('.') {
            Some((file, function)) if file == stem => function.to_owned(),
            Some((file, _)) => {
                return Err(format!(
                    "the handler {handler} is in {file}, but --function names {name}"
                ));
            }
            None => handler.to_owned(),
        },
        None => defined(&folder.join(name), language)?,
    };
    Ok(Code {
        language,
        handler: format!("{stem}.{function}"),
        file: name.to_owned(),
        folder,
    })
}

/// The function that a source file defines under one of the usual names.
fn defined(path: &Path, language: Language) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error| format!("{shown} cannot be read: {error}");
    if fs::metadata(path).map_err(unreadable)?.len() > SOURCE_BYTES_MAX {
        return Err(format!(
            "{shown} is too long to be searched; say by --function-handler what is called"
        ));
    }
    let text = String::from_utf8_lossy(&fs::read(path).map_err(unreadable)?).into_owned();
    let names = match language {
        Language::Python => PYTHON_NAMES,
        Language::Node | Language::Program => NODE_NAMES,
    };
    let found: Vec<_> = names
        .iter()
        .filter(|name| defines(&text, name, language))
        .collect();
    match found.as_slice() {
        [] => Err(format!(
            "{shown} defines none of {}; say by --function-handler what is called",
            names.join(", ")
        )),
        [name, ..] => Ok((**name).to_owned()),
    }
}

fn defines(text: &str, name: &str, language: Language) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    match language {
        // At the top level only: a method of a class is none.
        Language::Python => text.lines().any(|line| {
            let rest = line
                .strip_prefix("async def ")
                .or_else(|| line.strip_prefix("def "))
                .unwrap_or(line);
            rest.strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with(['(', '=']))
        }),
        // `export const handler`, `exports.handler =` and `module.exports = { handler }` look different enough that the
        // words are what can be searched for; the runtime says if it was wrong.
        Language::Node | Language::Program => {
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let has = |wanted: &str| {
                code.iter()
                    .any(|line| line.split(|c| !is_word(c)).any(|word| word == wanted))
            };
            (has("export") || has("exports")) && has(name)
        }
    }
}

fn program(folder: PathBuf, name: String, handler: Option<&str>) -> Result<Code, String> {
    let path = folder.join(&name);
    let mode = fs::metadata(&path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
        .permissions()
        .mode();
    if mode & 0o111 == 0 {
        return Err(format!(
            "{} is no program that may be run; make it one by: chmod +x {}",
            path.display(),
            path.display()
        ));
    }
    Ok(Code {
        language: Language::Program,
        handler: handler.unwrap_or(&name).to_owned(),
        file: name,
        folder,
    })
}

fn language_of(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "py" => Some(Language::Python),
        "mjs" | "js" | "cjs" => Some(Language::Node),
        _ => None,
    }
}

fn file_name(path: &Path) -> Result<String, String> {
    path.file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned)
        .ok_or_else(|| format!("the name of {} is not UTF-8", path.display()))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| format!("{} cannot be found: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn found(files: &[(&str, &str)], spec: &str, handler: Option<&str>) -> Result<String, String> {
        let folder = folder(files);
        let code = find(&folder.path().join(spec), handler)?;
        assert_eq!(code.folder, folder.path().canonicalize().unwrap());
        Ok(code.handler)
    }

    const PYTHON: &str = "import json\n\ndef lambda_handler(event, context):\n    pass\n";

    #[test]
    fn the_usual_names_are_found_by_themselves() {
        for (name, text, handler) in [
            ("handler.py", PYTHON, "handler.lambda_handler"),
            ("a.py", "def handler (e, c): pass", "a.handler"),
            ("a.py", "handler = make()", "a.handler"),
            (
                "a.mjs",
                "export const handler = async (e) => 1;",
                "a.handler",
            ),
            (
                "a.mjs",
                "const handler = 1;\nexport { handler };",
                "a.handler",
            ),
            ("a.js", "exports.handler = async () => {};", "a.handler"),
            ("a.cjs", "module.exports = {\n  handler,\n};", "a.handler"),
        ] {
            assert_eq!(found(&[(name, text)], name, None).as_deref(), Ok(handler));
        }
    }

    #[test]
    fn what_only_looks_like_a_function_is_not_taken() {
        for (name, text) in [
            ("a.py", "class A:\n    def handler(self): pass"),
            ("a.py", "def handler_of(x): pass"),
            ("a.mjs", "// export const handler\nexport const other = 1;"),
            ("a.js", "function handler() {}"),
        ] {
            let problem = found(&[(name, text)], name, None).unwrap_err();
            assert!(problem.contains("--function-handler"), "{problem}");
        }
    }

    #[test]
    fn a_folder_is_what_one_would_zip() {
        let of = |files: &[(&str, &str)], handler| found(files, "", handler);
        assert_eq!(
            of(&[("lambda_function.py", PYTHON)], None).as_deref(),
            Ok("lambda_function.lambda_handler")
        );
        let two = &[("app.py", PYTHON), ("index.js", "exports.handler = 1")];
        let problem = of(two, None).unwrap_err();
        assert!(problem.contains("app.py and index.js"), "{problem}");
        assert_eq!(
            of(two, Some("index.handler")).as_deref(),
            Ok("index.handler")
        );
        assert_eq!(
            of(&[("deep.py", PYTHON)], Some("deep.lambda_handler")).as_deref(),
            Ok("deep.lambda_handler")
        );
        assert!(
            of(two, Some("none.handler"))
                .unwrap_err()
                .contains("none.py")
        );
        assert!(
            of(&[("readme.md", "")], None)
                .unwrap_err()
                .contains("bootstrap")
        );
    }

    #[test]
    fn a_program_must_be_one() {
        let folder = folder(&[("bootstrap", "#!/bin/sh\n")]);
        let path = folder.path().join("bootstrap");
        let problem = find(&path, None).unwrap_err();
        assert!(problem.contains("chmod +x"), "{problem}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        for spec in [folder.path(), path.as_path()] {
            let code = find(spec, None).unwrap();
            assert_eq!(
                (code.language, code.file.as_str()),
                (Language::Program, "bootstrap")
            );
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let problem = find(Path::new("no-such.thing"), None).unwrap_err();
        assert!(problem.contains("no-such.thing"), "{problem}");
    }
}
