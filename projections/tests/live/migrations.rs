//! Migrations on a real cluster.

use crate::cluster::Cluster;
use projections::cql::{self, Store};
use std::process::Command;
use tempfile::TempDir;

#[tokio::test]
async fn a_keyspace_is_migrated_once_and_a_changed_file_is_refused() {
    let cluster = Cluster::connect();
    let test = async {
        let options = cluster.fresh();
        let text = |error: anyhow::Error| format!("{error:#}");
        let missing = text(cql::migrate(&options, None).await.unwrap_err());
        assert!(missing.contains("there is no keyspace"), "{missing}");
        assert_eq!(cql::migrate(&options, Some(1)).await.unwrap().len(), cql::migrations().len());
        assert_eq!(cql::migrate(&options, None).await.unwrap().len(), 0, "the second time there is nothing to do");
        assert!(Store::open(&options).await.is_ok());

        let session = cluster.session().await;
        let table = format!("{}.migrations", options.keyspace);
        session.query_unpaged(format!("DELETE FROM {table} WHERE number = 8"), ()).await.unwrap();
        let missing = text(Store::open(&options).await.err().unwrap());
        assert!(missing.contains("0008_audit_1.cql was not applied: run `clipflow migrate`"), "{missing}");
        let again = cql::migrate(&options, None).await.unwrap();
        assert_eq!(again.iter().map(|migration| migration.number).collect::<Vec<_>>(), [8], "one that was broken off is applied again");

        session.query_unpaged(format!("UPDATE {table} SET sha256 = 'another' WHERE number = 3"), ()).await.unwrap();
        for refusal in [text(cql::migrate(&options, None).await.unwrap_err()), text(Store::open(&options).await.err().unwrap())] {
            assert!(refusal.contains("0003_videos_1.cql is not what was applied"), "{refusal}");
        }
    };
    cluster.clean_up_after(test).await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_or_does_not_know_us_is_told() {
    let cluster = Cluster::connect();
    let mut options = cluster.fresh();
    options.credentials = options.credentials.map(|(name, _)| (name, "wrong".into()));
    let refusal = format!("{:#}", cql::migrate(&options, Some(1)).await.unwrap_err());
    assert!(refusal.contains("connecting to the CQL cluster at") && refusal.to_lowercase().contains("credentials"), "{refusal}");
    options.nodes = vec!["127.0.0.1:1".into()];
    let refusal = format!("{:#}", cql::migrate(&options, Some(1)).await.unwrap_err());
    assert!(refusal.contains("connecting to the CQL cluster at 127.0.0.1:1"), "{refusal}");
}

#[tokio::test]
async fn over_tls_a_node_is_trusted_only_when_the_given_authority_vouches_for_it() {
    // More than one is compiled in, so one must be chosen; the binary does so at its start.
    runtime::tls::install_provider();
    let cluster = Cluster::connect();
    let test = async {
        let mut options = cluster.fresh();
        options.authority = Some(cluster.authority.clone());
        cql::migrate(&options, Some(1)).await.unwrap();
        assert!(Store::open(&options).await.is_ok());

        let folder = TempDir::new().unwrap();
        let stranger = folder.path().join("stranger.pem");
        let made = Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stranger -keyout".split(' '))
            .arg(folder.path().join("key.pem"))
            .arg("-out")
            .arg(&stranger)
            .output();
        assert!(made.unwrap().status.success());
        options.authority = Some(stranger);
        let refusal = format!("{:#}", Store::open(&options).await.err().unwrap());
        assert!(refusal.contains("connecting to the CQL cluster"), "{refusal}");
    };
    cluster.clean_up_after(test).await;
}
