//! `reader KIND FILE`: reads a file with Prodigy's own types; one line on stdout for what was read, and
//! one for each thing that they do not take, with its place. Exit status 1 if there was any.

use prodigy::cook::execution::dlq::DeadLetteredItem;
use prodigy::cook::execution::events::EventRecord;
use prodigy::storage::SessionJobMapping;
use prodigy::unified_session::UnifiedSession;
use prodigy::worktree::WorktreeState;
use serde_json::{from_str, from_value, to_string, Value};

fn read(kind: &str, text: &str) -> Result<String, String> {
    let said = |error: serde_json::Error| error.to_string();
    match kind {
        "event" => from_str::<EventRecord>(text).map(|one| to_string(&one).unwrap()),
        "session" => from_str::<UnifiedSession>(text).map(|one| to_string(&one).unwrap()),
        "mapping" => from_str::<SessionJobMapping>(text).map(|one| to_string(&one).unwrap()),
        "worktree" => from_str::<WorktreeState>(text).map(|one| to_string(&one).unwrap()),
        "queued" => from_str::<DeadLetteredItem>(text).map(|one| to_string(&one).unwrap()),
        _ => return Err(format!("no kind {kind}")),
    }
    .map_err(said)
}

/// The documents of a file: its lines, the items of its queue, or itself.
fn documents(kind: &str, text: &str) -> Vec<String> {
    match kind {
        "event" => text.lines().map(String::from).collect(),
        "queued" => {
            let whole: Value = from_str(text).expect("JSON");
            let items: Vec<Value> = from_value(whole["items"].clone()).expect("items");
            items.iter().map(Value::to_string).collect()
        }
        _ => vec![text.to_string()],
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (kind, path) = (&arguments[1], &arguments[2]);
    let text = std::fs::read_to_string(path).expect(path);
    let mut refused = 0;
    for (number, document) in documents(kind, &text).iter().enumerate() {
        match read(kind, document) {
            Ok(taken) => println!("{taken}"),
            Err(error) => {
                refused += 1;
                eprintln!("{path}:{}: {error}: {document}", number + 1);
            }
        }
    }
    std::process::exit(i32::from(refused > 0));
}
