// What the webhook of Knative Serving makes of Services: the real SetDefaults, without a cluster.
//
// Each line of standard input is a JSON object: `service` as it was sent; `stored` before an update, absent for a
// create; `defaults` and `features`, the data of Knative's ConfigMaps of those names. Each line of standard output
// is the Service as it would be stored, or an object with `refused`: why it would not.
//
// The same program is built with two versions of Knative: go.mod has the newest, 0.18.mod the one of KFServing v0.5.1.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log"
	"os"

	authentication "k8s.io/api/authentication/v1"
	"knative.dev/pkg/apis"
	"knative.dev/serving/pkg/apis/config"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

const lineLimit = 1 << 22

type request struct {
	Service  serving.Service   `json:"service"`
	Stored   *serving.Service  `json:"stored"`
	Defaults map[string]string `json:"defaults"`
	Features map[string]string `json:"features"`
}

func main() {
	log.SetFlags(0)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineLimit)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		service, err := answer(lines.Bytes())
		if err != nil {
			service = map[string]string{"refused": err.Error()}
		}
		if err := answers.Encode(service); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func answer(line []byte) (any, error) {
	var asked request
	decoder := json.NewDecoder(bytes.NewReader(line))
	// As the webhook does: fields that this version does not know are refused.
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return nil, err
	}
	defaults, err := config.NewDefaultsConfigFromMap(asked.Defaults)
	if err != nil {
		return nil, err
	}
	features, err := config.NewFeaturesConfigFromMap(asked.Features)
	if err != nil {
		return nil, err
	}
	ctx := config.ToContext(context.Background(), &config.Config{Defaults: defaults, Features: features})
	ctx = apis.WithUserInfo(ctx, &authentication.UserInfo{Username: "kfs"})
	if asked.Stored == nil {
		ctx = apis.WithinCreate(ctx)
	} else {
		ctx = apis.WithinUpdate(ctx, asked.Stored)
	}
	asked.Service.SetDefaults(ctx)
	return &asked.Service, nil
}
