//! What a person sees when the server is ready.

use std::io::Write as _;
use std::path::Path;

use super::functions::Memory;
use crate::shell;

/// Where things are.
pub(super) struct Banner<'a> {
    /// The page's URL; none in a build without the page.
    pub(super) page: Option<&'a str>,
    /// The S3 endpoint.
    pub(super) s3: &'a str,
    /// The data folder.
    pub(super) data: &'a Path,
    /// Whether `--data` must be given to other commands.
    pub(super) is_default_data: bool,
    /// The bucket that files come into.
    pub(super) staging: &'a str,
    /// What runs on each file.
    pub(super) processor: &'a str,
    /// How many rules for faults are on.
    pub(super) faults: usize,
    /// How the memory of functions is limited; none without functions.
    pub(super) memory: Option<&'a Memory>,
}

impl Banner<'_> {
    /// Writes it on standard error, beside the logs: standard output is for data.
    pub(super) fn show(&self) {
        // Whoever closed standard error does not want to read this.
        _ = std::io::stderr().lock().write_all(self.text().as_bytes());
    }

    fn text(&self) -> String {
        let data = if self.is_default_data {
            String::new()
        } else {
            format!(
                " --data {}",
                shell::quoted(&self.data.display().to_string())
            )
        };
        let program = shell::program();
        let page = self.page.map_or_else(
            || "none in this build".to_owned(),
            |page| format!("{page}/"),
        );
        let memory = match self.memory {
            None => String::new(),
            Some(Memory::Held) => {
                "\n  memory  held by the kernel, in a cgroup for each environment".to_owned()
            }
            Some(Memory::Watched { why }) => {
                format!("\n  memory  watched ten times a second, for want of a cgroup: {why}")
            }
        };
        let faults = match self.faults {
            0 => String::new(),
            1 => {
                "\n  FAULTS  ON: S3 and its events misbehave here on purpose, by 1 rule".to_owned()
            }
            rules => format!(
                "\n  FAULTS  ON: S3 and its events misbehave here on purpose, by {rules} rules"
            ),
        };
        let faults = if faults.is_empty() {
            faults
        } else {
            format!("{faults}; see {program} faults{data}")
        };
        format!(
            "\n  Two Buckets {} is ready: every file is given to `{}` and kept.\n\n  \
             page    {page}\n  \
             S3      {}\n  \
             data    {}{memory}{faults}\n  \
             try     {program} put{data} FILE\n  \
             or      eval \"$({program} env{data})\" && aws s3 cp FILE s3://{}/\n\n",
            env!("CARGO_PKG_VERSION"),
            self.processor,
            self.s3,
            self.data.display(),
            self.staging,
        )
    }
}
