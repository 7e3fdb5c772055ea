//! Runtimes that come with the program.

/// A runtime for Node.js functions, one file on Node alone: `node FILE` with the variables of an environment.
///
/// For machines where AWS's own client, `aws-lambda-ric`, is not installed: it has to be built there with a C++ compiler,
/// `cmake` and the autotools. Takes `CommonJS` and ES modules, async and callback handlers; handlers made with
/// `awslambda.streamifyResponse` are refused at the start.
pub const NODE_RUNTIME: &str = include_str!("../runtimes/node.mjs");
