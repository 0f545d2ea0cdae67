use crate::site::Site;
use gateway::auth::Auth;
use reqwest::header::{self, HeaderValue};
use serde_json::json;

const VIEWER: &str = r#"{"query":"{ viewer { actor } }"}"#;

#[tokio::test]
async fn only_the_key_opens_the_door() {
    let site = Site::start().await;
    let post = |key: Option<&str>| {
        let request = site.client.post(format!("{}/graphql", site.url)).header("content-type", "application/json").body(VIEWER);
        match key {
            Some(key) => request.header("authorization", key),
            None => request,
        }
    };
    let almost = format!("Bearer {}x", site.key);
    for wrong in [None, Some("Bearer cf_wrong"), Some("Bearer "), Some("Basic abc"), Some(""), Some(almost.as_str())] {
        let answer = post(wrong).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]), "{wrong:?}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
    assert_eq!(post(Some(&format!("bearer {}", site.key))).send().await.unwrap().status(), 200);
    for (method, path) in [("HEAD", "/files/upload_00000000000000000000000000000000"), ("POST", "/files"), ("GET", "/graphql/ws")] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = site.client.request(method, format!("{}{path}", site.url)).header("tus-resumable", "1.0.0").send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
    }
}

#[tokio::test]
async fn a_session_reads_and_changes_only_with_our_header() {
    let site = Site::start().await;
    let login = |key: &str| site.client.post(format!("{}/login", site.url)).json(&json!({ "key": key })).send();
    assert_eq!(login("cf_wrong").await.unwrap().status(), 401);
    let answer = login(&site.key).await.unwrap();
    assert_eq!(answer.status(), 204);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let session = cookie.split(';').next().unwrap().to_owned();
    let post = |session: &str, is_ours: bool| {
        let request = site.client.post(format!("{}/graphql", site.url)).header("content-type", "application/json");
        let request = request.header("cookie", format!("other=1; {session}")).body(VIEWER);
        if is_ours { request.header("x-clipflow-request", "page").send() } else { request.send() }
    };
    assert_eq!(post(&session, true).await.unwrap().status(), 200);
    assert_eq!(post(&session, false).await.unwrap().status(), 403);
    let (name, value) = session.split_once('=').unwrap();
    let (ends, signature) = value.split_once('.').unwrap();
    let later = ends.parse::<u64>().unwrap() + 1;
    for forged in [format!("{name}={later}.{signature}"), format!("{name}={ends}."), format!("{name}=x"), format!("{name}={value}A")] {
        assert_eq!(post(&forged, true).await.unwrap().status(), 401, "{forged}");
    }
    site.pass_seconds(31 * 24 * 3_600);
    assert_eq!(post(&session, true).await.unwrap().status(), 401, "it is over after a month");
}

#[tokio::test]
async fn the_key_is_shown_once_and_stored_nowhere() {
    let site = Site::start().await;
    let folder = site.folder.path().join("auth");
    let (again, key) = Auth::open(&folder, crate::site::HOME).unwrap();
    assert!(key.is_none());
    again.login(&site.key, site.gateway.clock.now()).unwrap();
    assert!(site.key.starts_with("cf_") && site.key.len() == 46);
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&site.key), "{}", path.display());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o077, 0);
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_none_opens_it_to_other_sites() {
    let site = Site::start().await;
    for path in ["/", "/assets/app.js", "/graphiql", "/graphql", "/files", "/media/x", "/healthz", "/nothing"] {
        let answer = site.request("GET", path).header("origin", "https://evil.example").send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers.get("x-content-type-options"), Some(&HeaderValue::from_static("nosniff")), "{path}");
        assert_eq!(headers.get("x-frame-options"), Some(&HeaderValue::from_static("DENY")), "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert!(headers.get("access-control-allow-origin").is_none(), "{path}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let site = Site::start().await;
    let mut wanted = vec!["/".to_owned(), "/graphiql".to_owned()];
    let mut seen = vec![];
    while let Some(path) = wanted.pop() {
        let answer = site.client.get(format!("{}{path}", site.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        for outside in ["src=\"http", "href=\"http", "from 'http", "@import", "url(http", "innerHTML"] {
            assert!(!text.contains(outside), "{path} has {outside}");
        }
        let linked = text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")).map(str::to_owned);
        wanted.extend(linked.filter(|path| !seen.contains(path)).collect::<Vec<_>>());
        seen.push(path);
    }
    assert!(seen.len() > 6, "{seen:?}");
}

#[tokio::test]
async fn those_who_watch_the_process_get_answers() {
    let site = Site::start().await;
    let get = |path: &str| site.client.get(format!("{}{path}", site.url));
    assert_eq!(get("/healthz").send().await.unwrap().status(), 200);
    assert_eq!(get("/readyz").send().await.unwrap().status(), 200);
    assert_eq!(get("/metrics").send().await.unwrap().text().await.unwrap(), "clipflow_up 1\n");
    assert_eq!(get("/metrics").header("x-forwarded-for", "203.0.113.9").send().await.unwrap().status(), 401);
}
