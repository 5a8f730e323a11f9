// Package tools names what is built here besides the tools of go.mod, so that go.mod and go.sum hold all that it needs.
package tools

import _ "k8s.io/kubernetes/test/e2e" // its tests: upstream's end-to-end specs
