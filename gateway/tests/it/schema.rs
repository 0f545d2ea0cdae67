use crate::site::Site;
use serde_json::json;
use std::path::Path;

/// Run with `CLIPFLOW_WRITE_SCHEMAS=1` to write the file anew.
#[test]
fn the_committed_schema_is_what_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/graphql/schema.graphql");
    let served = gateway::sdl();
    if std::env::var_os("CLIPFLOW_WRITE_SCHEMAS").is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(served == committed, "schemas/graphql/schema.graphql is not what the code says; run `clipflow schema`");
}

#[test]
fn every_type_and_field_of_ours_is_explained() {
    let sdl = gateway::sdl();
    let mut is_explained = false;
    let mut is_library = false;
    for line in sdl.lines() {
        let line = line.trim();
        is_library |= line.starts_with("schema {");
        let is_declaration = line.contains(": ") && !line.starts_with(['"', '#', '@']) && !line.ends_with("\"\"\"");
        if line.starts_with("type ") {
            // The library writes these: pages, edges and connections.
            is_library = ["Connection ", "Edge ", "PageInfo "].iter().any(|end| line.contains(end));
            assert!(is_library || is_explained, "{line}");
        } else if is_declaration && !is_library && line.chars().next().is_some_and(char::is_lowercase) {
            assert!(is_explained || line.contains("\"\"\""), "{line}");
        }
        is_explained = line.ends_with("\"\"\"") && (line.len() > 3 || line == "\"\"\"");
    }
}

#[tokio::test]
async fn the_usual_introspection_query_passes_the_limits() {
    let site = Site::start().await;
    let mut of_type = "kind name".to_owned();
    for _ in 0..9 {
        of_type = format!("kind name ofType {{ {of_type} }}");
    }
    let query = format!(
        "{{ __schema {{ queryType {{ name }} directives {{ name args {{ name type {{ {of_type} }} }} }} types {{ kind name description \
         fields(includeDeprecated: true) {{ name args {{ name defaultValue type {{ {of_type} }} }} type {{ {of_type} }} }} \
         inputFields {{ name type {{ {of_type} }} }} interfaces {{ {of_type} }} enumValues {{ name }} possibleTypes {{ {of_type} }} }} }} }}"
    );
    let data = site.data(&query, json!({})).await;
    assert!(data["__schema"]["types"].as_array().unwrap().len() > 40);
}
