// Package openapi holds the two HTTP contracts (OpenAPI 3): the truth that the
// routers are tested against and that each daemon serves as /openapi.yaml.
package openapi

import _ "embed"

// Peer is the contract of a peer's API, as YAML.
//
//go:embed peer.yaml
var Peer []byte

// Registry is the contract of the registry's API, as YAML.
//
//go:embed registry.yaml
var Registry []byte
