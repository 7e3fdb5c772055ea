//! What a deployment runs: the one list of it.

/// A program of a release.
pub(super) struct Program {
    /// The package that makes it, and its binary.
    pub(super) package: &'static str,
    /// Flags of cargo that only it needs.
    pub(super) flags: &'static [&'static str],
    /// What it is called in a release, as the template names it.
    pub(super) file: &'static str,
    /// What it is in there.
    pub(super) shape: Shape,
}

/// How a program is uploaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A zip with an executable `bootstrap`, as Lambda takes it.
    Function,
    /// As it is, for the container of a job to fetch (docs/decisions/0009-image-of-jobs.md).
    Job,
}

/// All of them. A new function is one line.
pub(super) const PROGRAMS: [Program; 4] = [
    function("processor", "processor.zip"),
    function("sweep", "sweep.zip"),
    function("uploads", "uploads.zip"),
    Program {
        package: "two-buckets",
        // Nobody opens a page in a job.
        flags: &["--no-default-features", "--features", "local,aws"],
        file: "job",
        shape: Shape::Job,
    },
];

const fn function(package: &'static str, file: &'static str) -> Program {
    Program {
        package,
        flags: &[],
        file,
        shape: Shape::Function,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::repository;

    #[test]
    fn every_function_there_is_is_packaged_as_the_template_names_it() {
        let there: BTreeSet<String> = fs::read_dir(repository::root().join("functions"))
            .expect("functions/")
            .filter_map(|entry| entry.expect("a folder").file_name().into_string().ok())
            .collect();
        let functions = || PROGRAMS.iter().filter(|it| it.shape == Shape::Function);
        let packaged: BTreeSet<String> = functions().map(|it| it.package.to_owned()).collect();
        assert_eq!(there, packaged);
        let template = fs::read_to_string(repository::root().join("deploy/two-buckets.yaml"));
        let template = template.expect("the template");
        for program in &PROGRAMS {
            let named = format!("${{CodePrefix}}/{}", program.file);
            assert!(template.contains(&named), "no {named} in the template");
        }
    }
}
