//! `doctor`: looks whether everything that files depend on is as it must be, one line for each, and says what to do where
//! it is not.

mod check;
#[cfg(feature = "aws")]
mod deployed;
mod server;
mod uploads;

use serde_json::json;

use super::api::Api;
use super::meaning::Output;
use super::print;
use crate::config::Settings;
use crate::failure::Failure;
use check::{Check, Verdict};

/// Looks at the server of the data folder, or at the deployment on AWS that the settings name.
pub(super) async fn run(probe: bool, output: Output, settings: &Settings) -> Result<(), Failure> {
    let checks = if settings.is_on_aws() {
        #[cfg(feature = "aws")]
        let checks = deployed::look(probe, settings).await?;
        #[cfg(not(feature = "aws"))]
        let checks = {
            // It says why there is none.
            Api::find(settings).await?;
            Vec::new()
        };
        checks
    } else {
        // The embedded store is this program's own, and its tests try what it does.
        let _ = probe;
        server::look(&Api::of_server(settings)?).await
    };
    match output {
        Output::Program => print::json(&json!({
            "checks": checks.iter().map(Check::json).collect::<Vec<_>>(),
        }))?,
        Output::Person => {
            let lines: String = checks.iter().map(Check::line).collect();
            print::text(&lines)?;
        }
    }
    let wrong = checks.iter().filter(|it| it.verdict == Verdict::Wrong);
    match wrong.count() {
        0 => Ok(()),
        n => Err(Failure::failed(format!(
            "{} wrong, of {}",
            match n {
                1 => "1 thing is".to_owned(),
                n => format!("{n} things are"),
            },
            checks.len()
        ))),
    }
}
