#!/bin/sh
# Make echarts.min.js anew: the same bytes from the same versions. Needs npm and a registry.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here/entry.js" "$folder/"
cd "$folder"
npm install --silent --no-save echarts@6.1.0 zrender@6.1.0 tslib@2.3.0 esbuild@0.25.12
npx esbuild entry.js --bundle --minify --charset=ascii --format=iife --global-name=echarts \
    --target=es2020 --legal-comments=none --banner:js="$(cat "$here/banner.js")" \
    --outfile="$here/echarts.min.js"
cp node_modules/echarts/LICENSE "$here/LICENSE-echarts"
cp node_modules/echarts/NOTICE "$here/NOTICE-echarts"
cp node_modules/echarts/licenses/LICENSE-d3 "$here/LICENSE-d3"
cp node_modules/zrender/LICENSE "$here/LICENSE-zrender"
cp node_modules/tslib/LICENSE.txt "$here/LICENSE-tslib"
