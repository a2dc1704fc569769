#!/bin/sh
# Writes api/wire/*.pb.go from api/wire/nave.proto with the tools that this
# folder's go.mod pins. Needs no protoc and no network once they are downloaded.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
cd "$here"
go build -o "$bin/" \
    github.com/bufbuild/buf/cmd/buf \
    google.golang.org/protobuf/cmd/protoc-gen-go \
    google.golang.org/grpc/cmd/protoc-gen-go-grpc
PATH="$bin:$PATH" buf generate --template buf.gen.yaml ../../api/wire
