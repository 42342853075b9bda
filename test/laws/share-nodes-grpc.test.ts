/** ShareNodes over gRPC to real nodes: with mutual TLS, and in plain text as somebody may explicitly want it. */
import { shareNodesLayer } from "../../src/adapters/kms-node/share-nodes.layer.ts"
import { serverNameOf } from "../support/kms-committee.ts"
import { shareNodesLaws } from "./share-nodes.laws.ts"

shareNodesLaws("over mutual TLS", "mutual-tls", (kms) => shareNodesLayer({ security: kms.gatewaySecurity(), serverNameOf }))
shareNodesLaws("in plain text", "insecure", () => shareNodesLayer({ security: { insecure: true } }))
