// API defaulting, as the API server does it on write (semantics.md section 1; pkg/apis/{core,apps}/v1/defaults.go).
#pragma once

#include "agent/model/kubernetes.h"

namespace daemonsetd::model {

void SetDefaults(appsv1::DaemonSet& daemon_set);
void SetDefaults(corev1::Pod& pod);
// Pod template or pod: what is common to both.
void SetPodSpecDefaults(corev1::PodSpec& spec);
// spec.resources of a Pod from what its containers ask for, after their own requests are filled in. Nothing when the
// author gave no pod-level resources.
void SetPodResourceDefaults(corev1::PodSpec& spec);

}  // namespace daemonsetd::model
