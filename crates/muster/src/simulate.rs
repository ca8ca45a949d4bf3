//! `muster simulate`: a vendor's system, for trials and tests of targets.

use adapters::generate_api_key;
use anyhow::Context;
use cli::{Output, SimulateArgs, runtime};
use serde_json::json;
use simulator::{Faults, Simulator, SimulatorConfig, VendorApi};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(crate) fn run(args: &SimulateArgs, output: Output) -> anyhow::Result<()> {
    let api: VendorApi = args.api.parse().map_err(anyhow::Error::msg)?;
    let faults = args.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
    let key = match &args.key_file {
        Some(path) => key_of(path)?,
        None => generate_api_key()?,
    };
    let record = args
        .record
        .as_deref()
        .map(|path| File::create(path).with_context(|| format!("cannot write {} (--record)", path.display())));
    let config =
        SimulatorConfig { api, listen: args.listen.clone(), key: key.clone(), faults, record: record.transpose()? };
    runtime()?.block_on(async {
        let simulator = Simulator::bind(config).await.with_context(|| format!("cannot listen on {}", args.listen))?;
        let (url, company) = (simulator.url(), simulator.account());
        let stop = crate::serve::shutdown_signal()?;
        let document = json!({"url": url, "company": company, "key": key, "address": simulator.address()?.to_string()});
        output.try_result(&document, || {
            let company = company.map(|number| format!("\nCompany: {number}")).unwrap_or_default();
            format!("Simulating {} at {url}{company}\nKey: {key}", args.api)
        })?;
        simulator.serve(stop).await;
        Ok(())
    })
}

fn read_faults(path: &Path) -> anyhow::Result<Faults> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {} (--faults)", path.display()))?;
    Faults::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// The key in a file, which is created if it does not exist.
fn key_of(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot use {} (--key-file)", path.display());
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let key = generate_api_key()?;
            writeln!(file, "{key}").with_context(context)?;
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(std::fs::read_to_string(path).with_context(context)?.trim().to_owned())
        }
        Err(error) => Err(error).with_context(context),
    }
}
